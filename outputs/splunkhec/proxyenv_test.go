package splunkhec

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestProxyFromEnvironment runs itself again, because net/http reads the variables once in a process.
func TestProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	if os.Getenv("SPLUNKHEC_PRINT_PROXIES") != "" {
		printProxies(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyFromEnvironment$", "-test.v")
	cmd.Env = append(os.Environ(), "SPLUNKHEC_PRINT_PROXIES=1", "HTTPS_PROXY=http://secure.example.com:3128",
		"HTTP_PROXY=http://open.example.com:3128", "NO_PROXY=inside.example.com")
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, want := range []string{
		"environment https://splunk.example.com: http://secure.example.com:3128",
		"environment http://splunk.example.com: http://open.example.com:3128",
		"environment https://inside.example.com: none",
		"set https://splunk.example.com: socks5://gate.example.com:1080",
		"off https://splunk.example.com: none",
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("want %q in %s", want, text)
		}
	}
}

func printProxies(t *testing.T) {
	for name, table := range map[string]string{"environment": "", "set": `proxy = "socks5://gate.example.com:1080"`, "off": `proxy = "none"`} {
		for _, url := range []string{"https://splunk.example.com", "http://splunk.example.com", "https://inside.example.com"} {
			out, _ := buildOutput(t, table, url)
			req, err := http.NewRequest(http.MethodPost, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer := "none"
			if out.proxy != nil {
				if u, err := out.proxy(req); err != nil || u != nil {
					answer = fmt.Sprint(u)
				}
			}
			fmt.Printf("%s %s: %s\n", name, url, answer)
		}
	}
}
