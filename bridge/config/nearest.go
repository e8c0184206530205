package config

import (
	"slices"
	"strings"
)

// shortestPrefix is how much two words must have in common.
const shortestPrefix = 4

// nearest returns the candidate that word was most likely meant to be, or "" when none is near.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(strings.ToLower(word), c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == "" { // a word that was written out, or shortened
		for _, c := range candidates {
			if min(len(word), len(c)) >= shortestPrefix && (strings.HasPrefix(word, c) || strings.HasPrefix(c, word)) && len(c) > len(best) {
				best = c
			}
		}
	}
	return best
}

// didYouMean is the hint for a word that is none of the candidates.
func didYouMean(word string, candidates []string) string {
	if near := nearest(word, candidates); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours that make b of a (optimal string
// alignment).
func distance(a, b string) int {
	before, above := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
