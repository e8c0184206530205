package signal

// fewFields is how many unknown fields are compared one by one; a body with more of them gets a map.
const fewFields = 16

// countRepeats sets Nth of every field, those of extra before those of envelope.
func countRepeats(extra, envelope []Field) {
	if len(extra)+len(envelope) > fewFields {
		countManyRepeats(extra, envelope)
		return
	}
	var seen [fewFields]string
	n := 0
	for _, fields := range [...][]Field{extra, envelope} {
		for i := range fields {
			for _, name := range seen[:n] {
				if name == fields[i].Name {
					fields[i].Nth++
				}
			}
			seen[n] = fields[i].Name
			n++
		}
	}
}

func countManyRepeats(extra, envelope []Field) {
	count := make(map[string]int, len(extra)+len(envelope))
	for _, fields := range [...][]Field{extra, envelope} {
		for i := range fields {
			fields[i].Nth = count[fields[i].Name]
			count[fields[i].Name]++
		}
	}
}
