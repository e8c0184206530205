// Package guides tries each guide beside it by following it, with the real daemon and the text's own lines, and holds
// its tables to the code.
package guides
