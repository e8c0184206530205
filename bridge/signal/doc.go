// Package signal decodes the LinuxGuard webhook body, version v1: an envelope around one signal.
//
//	{ "event_type": "signal_created", "version": "v1", "timestamp": ..., "tenant_id": ..., "console_url": ...,
//	  "data": { "signal_id": ..., "signal_type": ..., "severity": 1..5, "description": ..., "server_id": ...,
//	            "server_name": ..., "identity_id": ..., "identity_name": ..., "environment": ..., "created_at": ... } }
//
// Decoding is tolerant: ids may be numbers, fields may be missing, repeated, of another type or unknown to the
// documentation. Nothing of a body is lost on the way: what the documentation doesn't name is kept as a Field, and so
// is the earlier value of a field that comes twice; what had to be interpreted is said in Notes. Only a body that is no
// JSON object is an error.
//
// It is done in one pass over the body by a scanner of our own, because it runs once for every webhook before the answer
// leaves. The scanner accepts exactly what encoding/json accepts, nesting limit included; a fuzz test holds it to that.
package signal
