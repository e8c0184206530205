package webhook

import (
	"fmt"
	"strings"
	"time"
)

// hostileCase is one connection's bytes. In them, {BODY} is a signed body of its own, {SIG} its signature value, {LEN}
// its length, {CHUNK} the body as one chunk without the last, and {POST} the request line and the usual headers but
// the length.
type hostileCase struct {
	name string
	send string
	half bool // the client closes its side after sending
}

const usualHead = "POST " + testPath + " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n" +
	"LinuxGuard-Signature: {SIG}\r\nLinuxGuard-Delivery: {NAME}\r\n"

func (c hostileCase) bytes(text string) string {
	body := string(payload("sig_"+c.name, time.Now()))
	return strings.NewReplacer(
		"{POST}", strings.NewReplacer("{SIG}", sign(testSecret, []byte(body)), "{NAME}", c.name).Replace(usualHead),
		"{SIG}", sign(testSecret, []byte(body)),
		"{HEX}", strings.TrimPrefix(sign(testSecret, []byte(body)), "sha256="),
		"{UPPERHEX}", strings.ToUpper(strings.TrimPrefix(sign(testSecret, []byte(body)), "sha256=")),
		"{EMPTYSIG}", sign(testSecret, nil),
		"{LEN}", fmt.Sprint(len(body)),
		"{MORE}", fmt.Sprint(len(body)+1),
		"{LESS}", fmt.Sprint(len(body)-1),
		"{CHUNK}", fmt.Sprintf("%x\r\n%s\r\n", len(body), body),
		"{BODY}", body,
	).Replace(text)
}

// manyChunks is the body in chunks of one byte, each with an extension of its own.
func manyChunks(body, extension string) string {
	var b strings.Builder
	for i := range len(body) {
		fmt.Fprintf(&b, "1%s\r\n%c\r\n", extension, body[i])
	}
	return b.String() + "0\r\n\r\n"
}

// signedPost is a complete request with body under head, which must not hold a length.
func signedPost(body string, extra string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nLinuxGuard-Signature: %s\r\n%sContent-Length: %d\r\n\r\n%s",
		testPath, sign(testSecret, []byte(body)), extra, len(body), body)
}

// signedChunks is signedPost with the body as one chunk.
func signedChunks(body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nLinuxGuard-Signature: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
		testPath, sign(testSecret, []byte(body)), len(body), body)
}

func hostileHTTP1() []hostileCase {
	full := "{POST}Content-Length: {LEN}\r\n\r\n{BODY}"
	chunked := "{POST}Transfer-Encoding: chunked\r\n\r\n"
	header := func(lines string) string { return "{POST}" + lines + "Content-Length: {LEN}\r\n\r\n{BODY}" }
	// unsigned is a request that carries line in place of the right signature.
	unsigned := func(lines string) string {
		return "POST " + testPath + " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n" + lines + "Content-Length: {LEN}\r\n\r\n{BODY}"
	}
	target := func(line string) string {
		return line + "\r\nHost: bridge\r\nContent-Type: application/json\r\nLinuxGuard-Signature: {SIG}\r\nContent-Length: {LEN}\r\n\r\n{BODY}"
	}
	media := func(lines string) string {
		return "POST " + testPath + " HTTP/1.1\r\nHost: bridge\r\nLinuxGuard-Signature: {SIG}\r\n" + lines + "Content-Length: {LEN}\r\n\r\n{BODY}"
	}
	forged := "POST " + testPath + " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nLinuxGuard-Signature: sha256=" +
		strings.Repeat("0", 64) + "\r\nContent-Length: 2\r\n\r\n{}"
	return []hostileCase{
		{name: "plain", send: full},
		{name: "chunked", send: chunked + "{CHUNK}0\r\n\r\n"},

		// Request smuggling: two readings of where a body ends.
		{name: "cl-and-te", send: "{POST}Content-Length: {LEN}\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-and-short-cl-hides-a-request", send: "{POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{CHUNK}0\r\n\r\n" + forged},
		{name: "te-unsigned-hides-a-request", send: strings.Replace(unsigned("Transfer-Encoding: chunked\r\n"), "{BODY}", "{CHUNK}0\r\n\r\n"+full, 1)},
		{name: "cl-zero-hides-a-request", send: "{POST}Content-Length: 0\r\n\r\n" + forged},
		{name: "cl-short-hides-a-request", send: "{POST}Content-Length: 2\r\n\r\n{}" + forged},
		{name: "cl-twice-the-same", send: "{POST}Content-Length: {LEN}\r\nContent-Length: {LEN}\r\n\r\n{BODY}"},
		{name: "cl-twice-different", send: "{POST}Content-Length: {LEN}\r\nContent-Length: 2\r\n\r\n{BODY}"},
		{name: "cl-list", send: "{POST}Content-Length: {LEN}, {LEN}\r\n\r\n{BODY}"},
		{name: "cl-plus", send: "{POST}Content-Length: +{LEN}\r\n\r\n{BODY}"},
		{name: "cl-negative", send: "{POST}Content-Length: -1\r\n\r\n{BODY}"},
		{name: "cl-hex", send: "{POST}Content-Length: 0x10\r\n\r\n{BODY}"},
		{name: "cl-empty", send: "{POST}Content-Length:\r\n\r\n"},
		{name: "cl-beyond-uint64", send: "{POST}Content-Length: 99999999999999999999\r\n\r\n{BODY}"},
		{name: "cl-int64-max", send: "{POST}Content-Length: 9223372036854775807\r\n\r\n{BODY}"},
		{name: "cl-fraction", send: "{POST}Content-Length: 1.5\r\n\r\n{BODY}"},
		{name: "cl-with-underscore-name", send: "{POST}Content_Length: 2\r\nContent-Length: {LEN}\r\n\r\n{BODY}"},
		{name: "cl-space-before-colon", send: "{POST}Content-Length : {LEN}\r\n\r\n{BODY}"},
		{name: "cl-absent", send: "{POST}\r\n"},
		{name: "te-identity", send: "{POST}Transfer-Encoding: identity\r\nContent-Length: {LEN}\r\n\r\n{BODY}"},
		{name: "te-gzip-chunked", send: "{POST}Transfer-Encoding: gzip, chunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-chunked-twice", send: "{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-chunked-list-twice", send: "{POST}Transfer-Encoding: chunked, chunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-xchunked", send: "{POST}Transfer-Encoding: xchunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-upper-case", send: "{POST}Transfer-Encoding: CHUNKED\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-tab", send: "{POST}Transfer-Encoding:\tchunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-vertical-tab", send: "{POST}Transfer-Encoding: \vchunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-folded", send: "{POST}Transfer-Encoding:\r\n chunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-space-before-colon", send: "{POST}Transfer-Encoding : chunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-quoted", send: "{POST}Transfer-Encoding: \"chunked\"\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "te-in-http-1.0", send: strings.Replace(usualHead, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n{CHUNK}0\r\n\r\n"},

		// Chunks.
		{name: "chunk-extension", send: chunked + manyChunks("{}", ";name=value")},
		{name: "chunk-long-extension", send: chunked + "2;" + strings.Repeat("x", 8<<10) + "\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-of-one-byte-each", send: "POST " + testPath + " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n" +
			"LinuxGuard-Signature: " + sign(testSecret, []byte(strings.Repeat("7", 300))) + "\r\nTransfer-Encoding: chunked\r\n\r\n" + manyChunks(strings.Repeat("7", 300), "")},
		{name: "chunk-overhead", send: chunked + manyChunks(strings.Repeat("x", 2000), ";aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
		{name: "chunk-size-huge", send: chunked + "FFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-size-beyond-uint64", send: chunked + "FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-size-negative", send: chunked + "-2\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-size-0x", send: chunked + "0x2\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-size-empty", send: chunked + "\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-size-not-hex", send: chunked + "zz\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-size-spaces-after", send: chunked + "2  \r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-size-leading-zeros", send: chunked + "0000000002\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-too-short", send: chunked + "3\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-too-long", send: chunked + "1\r\n{}\r\n0\r\n\r\n"},
		{name: "chunk-bare-lf", send: chunked + "2\n{}\n0\n\n"},
		{name: "chunk-last-with-extension", send: chunked + "{CHUNK}0;end\r\n\r\n"},
		{name: "chunk-many-zeros-last", send: chunked + "{CHUNK}00000\r\n\r\n"},
		{name: "chunk-only-the-last", send: "POST " + testPath + " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n" +
			"LinuxGuard-Signature: {SIG}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "chunk-cut-off", send: chunked + "ff\r\n{}", half: true},
		{name: "chunk-without-last", send: chunked + "{CHUNK}", half: true},

		// Trailers never count: what is signed is the body, what is believed came before it.
		{name: "trailer-harmless", send: "{POST}Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK}0\r\nX-Sum: 1\r\n\r\n"},
		{name: "trailer-signature", send: strings.Replace(unsigned("Trailer: LinuxGuard-Signature\r\nTransfer-Encoding: chunked\r\n"), "Content-Length: {LEN}\r\n\r\n{BODY}", "\r\n{CHUNK}0\r\nLinuxGuard-Signature: {SIG}\r\n\r\n", 1)},
		{name: "trailer-undeclared-signature", send: strings.Replace(unsigned("Transfer-Encoding: chunked\r\n"), "Content-Length: {LEN}\r\n\r\n{BODY}", "\r\n{CHUNK}0\r\nLinuxGuard-Signature: {SIG}\r\n\r\n", 1)},
		{name: "trailer-content-length", send: "{POST}Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK}0\r\nContent-Length: 0\r\n\r\n"},
		{name: "trailer-malformed", send: chunked + "{CHUNK}0\r\nno colon here\r\n\r\n"},
		{name: "trailer-endless", send: chunked + "{CHUNK}0\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 80) + "\r\n"},

		// The signature header.
		{name: "signature-absent", send: unsigned("")},
		{name: "signature-empty", send: unsigned("LinuxGuard-Signature:\r\n")},
		{name: "signature-prefix-only", send: unsigned("LinuxGuard-Signature: sha256=\r\n")},
		{name: "signature-without-prefix", send: unsigned("LinuxGuard-Signature: {HEX}\r\n")},
		{name: "signature-other-prefix", send: unsigned("LinuxGuard-Signature: sha512={HEX}\r\n")},
		{name: "signature-prefix-upper-case", send: unsigned("LinuxGuard-Signature: SHA256={HEX}\r\n")},
		{name: "signature-space-after-equals", send: unsigned("LinuxGuard-Signature: sha256= {HEX}\r\n")},
		{name: "signature-too-long", send: unsigned("LinuxGuard-Signature: {SIG}00\r\n")},
		{name: "signature-too-short", send: unsigned("LinuxGuard-Signature: sha256=" + strings.Repeat("0", 62) + "\r\n")},
		{name: "signature-not-hex", send: unsigned("LinuxGuard-Signature: sha256=" + strings.Repeat("g", 64) + "\r\n")},
		{name: "signature-of-zeros", send: unsigned("LinuxGuard-Signature: sha256=" + strings.Repeat("0", 64) + "\r\n")},
		{name: "signature-of-the-empty-key", send: unsigned("LinuxGuard-Signature: {EMPTYSIG}\r\n")},
		{name: "signature-twice", send: unsigned("LinuxGuard-Signature: {SIG}\r\nLinuxGuard-Signature: {SIG}\r\n")},
		{name: "signature-twice-first-wrong", send: unsigned("LinuxGuard-Signature: sha256=00\r\nLinuxGuard-Signature: {SIG}\r\n")},
		{name: "signature-list", send: unsigned("LinuxGuard-Signature: {SIG},{SIG}\r\n")},
		{name: "signature-list-with-another", send: unsigned("LinuxGuard-Signature: {SIG}, sha1=00\r\n")},
		{name: "signature-upper-case-hex", send: unsigned("LinuxGuard-Signature: sha256={UPPERHEX}\r\n")},
		{name: "signature-quoted", send: unsigned("LinuxGuard-Signature: \"{SIG}\"\r\n")},
		{name: "signature-folded", send: unsigned("LinuxGuard-Signature: sha256=\r\n {HEX}\r\n")},
		{name: "signature-of-another-body", send: "{POST}Content-Length: 2\r\n\r\n{}"},
		{name: "signature-in-query", send: target("POST " + testPath + "?LinuxGuard-Signature={SIG} HTTP/1.1")},
		{name: "signature-header-with-underscores", send: unsigned("LinuxGuard_Signature: {SIG}\r\n")},
		{name: "signature-header-lower-case", send: unsigned("linuxguard-signature: {SIG}\r\n")},
		{name: "signature-body-altered", send: "{POST}Content-Length: {LEN}\r\n\r\n{LESS}{BODY}"},
		{name: "signature-body-with-newline", send: "{POST}Content-Length: {MORE}\r\n\r\n{BODY}\n"},
		{name: "signature-body-cut", send: "{POST}Content-Length: {LESS}\r\nConnection: close\r\n\r\n{BODY}"},

		// Request lines and header blocks.
		{name: "line-http-0.9", send: "GET /\r\n\r\n"},
		{name: "line-http-1.0", send: target("POST " + testPath + " HTTP/1.0")},
		{name: "line-http-2.0", send: target("POST " + testPath + " HTTP/2.0")},
		{name: "line-http-1.2", send: target("POST " + testPath + " HTTP/1.2")},
		{name: "line-http-9.9", send: target("POST " + testPath + " HTTP/9.9")},
		{name: "line-lower-case-protocol", send: target("POST " + testPath + " http/1.1")},
		{name: "line-two-spaces", send: target("POST  " + testPath + " HTTP/1.1")},
		{name: "line-tab", send: target("POST\t" + testPath + "\tHTTP/1.1")},
		{name: "line-with-nul", send: target("POST " + testPath + "\x00 HTTP/1.1")},
		{name: "line-empty-first", send: "\r\n" + full},
		{name: "line-garbage", send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n"},
		{name: "line-endless", send: "POST /" + strings.Repeat("a", 40<<10)},
		{name: "line-absolute-form", send: target("POST http://elsewhere.example" + testPath + " HTTP/1.1")},
		{name: "line-absolute-form-bad-port", send: target("POST http://elsewhere:port" + testPath + " HTTP/1.1")},
		{name: "line-connect", send: target("CONNECT bridge:443 HTTP/1.1")},
		{name: "line-asterisk", send: target("OPTIONS * HTTP/1.1")},
		{name: "line-post-asterisk", send: target("POST * HTTP/1.1")},
		{name: "line-fragment", send: target("POST " + testPath + "#x HTTP/1.1")},
		{name: "line-bad-escape", send: target("POST " + testPath + "%zz HTTP/1.1")},
		{name: "host-absent", send: strings.Replace(full, "{POST}", strings.Replace(usualHead, "Host: bridge\r\n", "", 1), 1)},
		{name: "host-twice", send: header("Host: other\r\n")},
		{name: "host-malformed", send: strings.Replace(full, "{POST}", strings.Replace(usualHead, "Host: bridge", "Host: bri dge", 1), 1)},
		{name: "header-bare-lf", send: strings.ReplaceAll(full, "\r\n", "\n")},
		{name: "header-bare-cr", send: header("X-A: b\rX-C: d\r\n")},
		{name: "header-nul", send: header("X-A: b\x00c\r\n")},
		{name: "header-no-colon", send: header("X-A\r\n")},
		{name: "header-no-name", send: header(": value\r\n")},
		{name: "header-space-in-name", send: header("X A: b\r\n")},
		{name: "header-utf8-name", send: header("X-\u00e4: b\r\n")},
		{name: "header-latin1-value", send: header("X-A: \xe4\xff\r\n")},
		{name: "header-first-line-folded", send: "POST " + testPath + " HTTP/1.1\r\n Host: bridge\r\n\r\n"},
		{name: "header-too-large", send: header("X-A: " + strings.Repeat("a", 40<<10) + "\r\n")},
		{name: "header-too-many", send: header(strings.Repeat("X-A: b\r\n", 8<<10))},
		{name: "header-cut-off", send: "{POST}", half: true},

		// Methods and paths.
		{name: "method-get", send: target("GET " + testPath + " HTTP/1.1")},
		{name: "method-head", send: target("HEAD " + testPath + " HTTP/1.1")},
		{name: "method-put", send: target("PUT " + testPath + " HTTP/1.1")},
		{name: "method-patch", send: target("PATCH " + testPath + " HTTP/1.1")},
		{name: "method-delete", send: target("DELETE " + testPath + " HTTP/1.1")},
		{name: "method-options", send: target("OPTIONS " + testPath + " HTTP/1.1")},
		{name: "method-trace", send: target("TRACE " + testPath + " HTTP/1.1")},
		{name: "method-lower-case", send: target("post " + testPath + " HTTP/1.1")},
		{name: "method-unknown", send: target("BREW " + testPath + " HTTP/1.1")},
		{name: "method-invalid", send: target("PO(ST " + testPath + " HTTP/1.1")},
		{name: "method-override", send: "GET " + testPath + " HTTP/1.1\r\nHost: bridge\r\nX-HTTP-Method-Override: POST\r\n\r\n"},
		{name: "path-root", send: target("POST / HTTP/1.1")},
		{name: "path-trailing-slash", send: target("POST " + testPath + "/ HTTP/1.1")},
		{name: "path-double-slash", send: target("POST /" + testPath + " HTTP/1.1")},
		{name: "path-dots", send: target("POST /x/.." + testPath + " HTTP/1.1")},
		{name: "path-encoded-dots", send: target("POST /x/%2e%2e" + testPath + " HTTP/1.1")},
		{name: "path-other-case", send: target("POST " + strings.ToUpper(testPath) + " HTTP/1.1")},
		{name: "path-encoded-letter", send: target("POST /webhooks/linux%67uard HTTP/1.1")},
		{name: "path-encoded-nul", send: target("POST " + testPath + "%00 HTTP/1.1")},
		{name: "path-traversal", send: target("POST " + testPath + "/../../etc/passwd HTTP/1.1")},
		{name: "path-unknown-and-get", send: target("GET /unknown HTTP/1.1")},

		// Content types and encodings.
		{name: "type-absent", send: media("")},
		{name: "type-empty", send: media("Content-Type:\r\n")},
		{name: "type-text", send: media("Content-Type: text/plain\r\n")},
		{name: "type-form", send: media("Content-Type: application/x-www-form-urlencoded\r\n")},
		{name: "type-json-suffix", send: media("Content-Type: application/vnd.x+json\r\n")},
		{name: "type-jsonp", send: media("Content-Type: application/jsonp\r\n")},
		{name: "type-twice", send: media("Content-Type: application/json\r\nContent-Type: text/plain\r\n")},
		{name: "type-list", send: media("Content-Type: application/json, text/plain\r\n")},
		{name: "type-charset", send: media("Content-Type: application/json; charset=utf-8\r\n")},
		{name: "type-upper-case", send: media("Content-Type: Application/JSON\r\n")},
		{name: "encoding-gzip", send: header("Content-Encoding: gzip\r\n")},
		{name: "encoding-identity", send: header("Content-Encoding: identity\r\n")},
		{name: "encoding-empty", send: header("Content-Encoding:\r\n")},

		// Sizes. The rig's limit is 64 KiB.
		{name: "size-at-the-limit", send: signedPost(strings.Repeat("7", 64<<10), "")},
		{name: "size-one-above", send: signedPost(strings.Repeat("7", 64<<10+1), "")},
		{name: "size-far-above", send: "{POST}Content-Length: 10000000\r\n\r\n" + strings.Repeat("x", 512<<10)},
		{name: "size-chunked-at-the-limit", send: signedChunks(strings.Repeat("8", 64<<10))},
		{name: "size-chunked-one-above", send: signedChunks(strings.Repeat("8", 64<<10+1))},
		{name: "size-chunked-above", send: chunked + strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 17) + "0\r\n\r\n"},
		{name: "slow-size-above-with-bad-signature", send: strings.Replace(unsigned("LinuxGuard-Signature: sha256=00\r\n"), "{LEN}", "70000", 1)},
		{name: "size-empty-body-signed", send: signedPost("", "")},
		{name: "size-signed-nesting", send: signedPost(strings.Repeat("[", 60000), "")},
		{name: "size-signed-not-utf8", send: signedPost("\xff\xfe\x00", "")},

		// Expectations.
		{name: "expect-continue", send: "{POST}Expect: 100-continue\r\nContent-Length: {LEN}\r\n\r\n{BODY}"},
		{name: "expect-continue-chunked", send: "{POST}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK}0\r\n\r\n"},
		{name: "expect-continue-unknown-path", send: "POST / HTTP/1.1\r\nHost: bridge\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"},
		{name: "expect-continue-too-large", send: "{POST}Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n"},
		{name: "expect-continue-no-body", send: "{POST}Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"},
		{name: "expect-other", send: "{POST}Expect: 200-ok\r\nContent-Length: {LEN}\r\n\r\n{BODY}"},

		// Ends of connections.
		{name: "close-in-body", send: "{POST}Content-Length: {LEN}\r\n\r\n{\"event", half: true},
		{name: "close-before-body", send: "{POST}Content-Length: {LEN}\r\n\r\n", half: true},
		{name: "close-after-request", send: full, half: true},
		{name: "close-asked-for", send: "{POST}Connection: close\r\nContent-Length: {LEN}\r\n\r\n{BODY}"},
		{name: "slow-header", send: "POST " + testPath + " HTTP/1.1\r\nHost: bridge\r\nX-Slow:"},
		{name: "slow-body", send: "{POST}Content-Length: {LEN}\r\n\r\n{\"event"},
		{name: "slow-body-chunked", send: chunked + "10\r\n{"},
		{name: "slow-silence", send: ""},

		// Pipelining: each request gets its own answer, in order.
		{name: "pipeline-signed-and-forged", send: full + forged},
		{name: "pipeline-forged-and-signed", send: forged + full},
		{name: "pipeline-garbage-after", send: full + "garbage\r\n\r\n"},
		{name: "pipeline-body-excess", send: "{POST}Content-Length: {LEN}\r\n\r\n{BODY}excess\r\n\r\n"},
		{name: "pipeline-many-stray", send: strings.Repeat("GET / HTTP/1.1\r\nHost: bridge\r\n\r\n", 5)},

		// Other protocols.
		{name: "upgrade-h2c", send: "{POST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nContent-Length: {LEN}\r\n\r\n{BODY}"},
		{name: "upgrade-h2c-bare", send: "GET / HTTP/1.1\r\nHost: bridge\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"},
		{name: "upgrade-http2-preface", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
		{name: "upgrade-websocket", send: "GET " + testPath + " HTTP/1.1\r\nHost: bridge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"},
		{name: "proxy-protocol", send: "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + full},
		{name: "proxy-protocol-v2", send: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"},
	}
}
