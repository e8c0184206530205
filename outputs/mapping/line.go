package mapping

import "github.com/linuxguard/linuxguard-bridge/outputs"

// JSON encodes records as JSON objects: flat ones in the native layout, or OCSF. It is safe for concurrent use.
type JSON struct{ flat flat }

// NewJSON returns the encoder of the file output's lines.
func NewJSON() *JSON { return &JSON{flat{taken: takenNames()}} }

// NewOCSF returns the encoder of lines that are OCSF Detection Findings.
func NewOCSF() *JSON { return &JSON{flat{ocsf: true, taken: takenNames()}} }

// Append appends rec as one JSON object on one line, without a line feed at its end.
func (j *JSON) Append(dst []byte, rec *outputs.Record) []byte { return j.flat.append(dst, rec, &whole) }
