// Package setting has the types of settings that mean more than their text. The configuration knows a value by its type, whatever its key is
// called: a file to write must be no other output's, and what is in a file to read counts when a reload looks for what has changed.
package setting

// WriteFile is the absolute path of a file that the bridge writes, or "-" for standard output.
type WriteFile string

// Stdout is the WriteFile that stands for standard output.
const Stdout WriteFile = "-"

// ReadFile is the path of a file whose content is part of the configuration, such as a certificate; "" stands for none.
type ReadFile string
