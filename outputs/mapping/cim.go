package mapping

import "github.com/linuxguard/linuxguard-bridge/outputs"

// cimSeverities are the words of Splunk's Common Information Model (Alerts) for LinuxGuard's 1 to 5.
var cimSeverities = [...]string{"informational", "low", "medium", "high", "critical"}

// cimNames are the fields of the CIM layout that come from no column.
var cimNames = [...]string{"app", "vendor_product", "type", "severity", "signature", "src"}

// appendCIM appends the fields of the Alerts data model that no column has under their names.
func appendCIM(dst []byte, rec *outputs.Record) []byte {
	dst = append(dst, `"app":"LinuxGuard","vendor_product":"LinuxGuard","type":"alert","severity":"`...)
	dst = append(dst, cimSeverities[rec.Signal.EffectiveSeverity()-1]...)
	dst = append(dst, '"')
	if rec.Signal.SignalType != "" {
		dst = appendJSONString(appendJSONKey(dst, "signature"), rec.Signal.SignalType)
	}
	if rec.Signal.ServerName != "" {
		dst = appendJSONString(appendJSONKey(dst, "src"), rec.Signal.ServerName)
	}
	return dst
}

// cimTaken is takenNames for the CIM layout.
func cimTaken() map[string]bool {
	more := append([]string(nil), cimNames[:]...)
	for i := range columns {
		if columns[i].cim != "" {
			more = append(more, columns[i].cim)
		}
	}
	return takenNames(more...)
}
