//go:build docs

// With the build tag docs the program writes its own manual pages and shell completions, so that the product carries
// none of the code for that:
//
//	go run -tags docs ./cmd/linuxguard-bridge DIR
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func main() {
	if err := writeDocs(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(exitFailed)
	}
}

func writeDocs(args []string) error {
	if len(args) != 1 {
		return errors.New("name the folder to write to")
	}
	g := &globals{Getenv: func(string) string { return "" }, Now: time.Now}
	root, pages := newRootCommand(g), newRootCommand(g)
	pages.DisableAutoGenTag = true
	escapeMarkdown(pages)
	for _, dir := range []string{"man", "completions"} {
		if err := os.MkdirAll(filepath.Join(args[0], dir), 0o750); err != nil {
			return err
		}
	}
	if err := writePages(pages, filepath.Join(args[0], "man")); err != nil {
		return err
	}
	dir := filepath.Join(args[0], "completions")
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(dir, "linuxguard-bridge"), true),
		root.GenZshCompletionFile(filepath.Join(dir, "_linuxguard-bridge")),
		root.GenFishCompletionFile(filepath.Join(dir, "linuxguard-bridge.fish"), true),
	)
}

// markdown is what means something to go-md2man, by which cobra writes pages, and nothing in our texts.
var markdown = strings.NewReplacer("_", `\_`, "*", `\*`, "<", `\<`, "[", `\[`)

// escapeMarkdown makes the texts of c and of everything below it come out as they are.
func escapeMarkdown(c *cobra.Command) {
	c.Short, c.Long = markdown.Replace(c.Short), markdown.Replace(c.Long)
	escape := func(f *pflag.Flag) { f.Usage = markdown.Replace(f.Usage) }
	c.LocalNonPersistentFlags().VisitAll(escape)
	c.PersistentFlags().VisitAll(escape)
	for _, sub := range c.Commands() {
		escapeMarkdown(sub)
	}
}

// sections: the program itself is for administrators (8), its commands are commands (1).
const rootSection, commandSection = "8", "1"

// reference is a mention of another page: cobra gives all of them the section of the page that they stand in.
var reference = regexp.MustCompile(`(linuxguard-bridge[a-z-]*)\([18]\)`)

// writePages writes the page of c and of everything below it.
func writePages(c *cobra.Command, dir string) error {
	if !c.IsAvailableCommand() && c.HasParent() {
		return nil
	}
	section := commandSection
	if !c.HasParent() {
		section = rootSection
	}
	var page bytes.Buffer
	err := doc.GenMan(c, &doc.GenManHeader{Section: section, Date: sourceDate(), Source: "linuxguard-bridge", Manual: "LinuxGuard bridge"}, &page)
	if err != nil {
		return fmt.Errorf("page of %s: %w", c.CommandPath(), err)
	}
	text := reference.ReplaceAllFunc(bytes.ReplaceAll(page.Bytes(), []byte(`\-`), []byte("-")), func(match []byte) []byte {
		name := reference.FindSubmatch(match)[1]
		if string(name) == "linuxguard-bridge" {
			return append(name, "("+rootSection+")"...)
		}
		return append(name, "("+commandSection+")"...)
	})
	text = bytes.ReplaceAll(text, []byte("-"), []byte(`\-`))
	name := filepath.Join(dir, pageName(c)+"."+section)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if err := writePages(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

func pageName(c *cobra.Command) string {
	return string(bytes.ReplaceAll([]byte(c.CommandPath()), []byte(" "), []byte("-")))
}

// sourceDate is SOURCE_DATE_EPOCH (reproducible-builds.org), so that the same source makes the same pages.
func sourceDate() *time.Time {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		seconds = 0
	}
	t := time.Unix(seconds, 0).UTC()
	return &t
}
