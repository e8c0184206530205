package confdoc

import (
	"fmt"
	"strings"
)

// ManPage writes the document as a manual page of section 5 (man-pages(7), groff_man(7)).
func (d *Document) ManPage() string {
	var b strings.Builder
	b.WriteString(".\\\" Made from packaging/config.reference.toml by the tests of packaging/confdoc (-update). Don't edit.\n" +
		".TH LINUXGUARD-BRIDGE.TOML 5 \"\" linuxguard-bridge \"File Formats\"\n.nh\n.ad l\n" +
		".SH NAME\nlinuxguard-bridge.toml \\- configuration of linuxguard-bridge\n" +
		".SH SYNOPSIS\n.B /etc/linuxguard\\-bridge/config.toml\n.br\n.B /etc/linuxguard\\-bridge/conf.d/*.toml\n" +
		".SH DESCRIPTION\n")
	for _, block := range d.Preamble {
		b.WriteString(paragraphs(block, ".PP\n"))
	}
	b.WriteString(".PP\nThe files are TOML. A key that is not known is an error. Values below are examples or defaults.\n")
	b.WriteString(".SH TABLES AND KEYS\n")
	for _, table := range d.Tables {
		fmt.Fprintf(&b, ".SS %s\n%s", literal(table.Header()), paragraphs(table.Text, ".PP\n"))
		for _, key := range table.Keys {
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR = %s\n%s", literal(key.Name), breakable(literal(key.Value)), paragraphs(key.Text, ".IP\n"))
		}
	}
	b.WriteString(".SH SEE ALSO\n.BR linuxguard\\-bridge (1),\n.BR systemd.exec (5)\n")
	return b.String()
}

// paragraphs writes a block of prose: indented lines as they are, between paragraphs of running text. separator comes
// before every paragraph but the first.
func paragraphs(block, separator string) string {
	var b strings.Builder
	verbatim, begun := false, false
	for line := range strings.SplitSeq(block, "\n") {
		indented := strings.HasPrefix(line, "  ")
		switch {
		case indented && !verbatim:
			b.WriteString(".PP\n.RS 4\n.nf\n")
		case !indented && verbatim && line != "":
			b.WriteString(".fi\n.RE\n" + separator)
		case line == "" && begun && !verbatim:
			b.WriteString(separator)
		}
		if line == "" {
			continue
		}
		verbatim, begun = indented, true
		if indented {
			line = literal(strings.TrimPrefix(line, "    "))
		}
		b.WriteString(safe(line, indented) + "\n")
	}
	if verbatim {
		b.WriteString(".fi\n.RE\n")
	}
	return strings.ReplaceAll(b.String(), separator+".PP\n", ".PP\n")
}

// literal writes text that a reader may copy: its hyphens and quotes stay what they are in ASCII.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`, `"`, `\(dq`).Replace(text)
}

// breakable lets a long value go on in the next line after a colon, for hashes and addresses of IPv6.
func breakable(text string) string { return strings.ReplaceAll(text, ":", `:\:`) }

// safe keeps a line of text from being read as a request, and its backslashes from being read as escapes.
func safe(line string, escaped bool) string {
	if !escaped {
		line = strings.ReplaceAll(line, `\`, `\e`)
	}
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}
