package mapping

import "github.com/linuxguard/linuxguard-bridge/outputs"

// JSON encodes records as flat JSON objects in the native layout. It is safe for concurrent use.
type JSON struct{ flat flat }

// NewJSON returns the encoder of the file output's lines.
func NewJSON() *JSON { return &JSON{flat{taken: takenNames()}} }

// Append appends rec as one JSON object on one line, without a line feed at its end.
func (j *JSON) Append(dst []byte, rec *outputs.Record) []byte { return j.flat.append(dst, rec, &whole) }
