package signal

import (
	"slices"
	"strings"
)

// AnyGlob reports whether text matches one of patterns, or there are none: what an output's match and index rules say of
// signal_type and environment. In a pattern * stands for any run of characters and ? for any one byte.
func AnyGlob(patterns []string, text string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return glob(p, text) })
}

// glob matches text against a pattern of literal bytes, * and ?. It goes back no further than the last star, so that
// its time is bounded by the product of the lengths.
func glob(pattern, text string) bool {
	star, mark, p, t := -1, 0, 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0: // let the last star take one more
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
