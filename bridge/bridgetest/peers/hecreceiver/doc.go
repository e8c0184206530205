// Command hecreceiver runs OpenTelemetry's Splunk HEC receiver, with or without its acknowledgement extension, as the
// independent counterpart of the splunk_hec output's tests. It is in a module of its own because the collector brings
// some seventy dependencies that the bridge must not inherit.
//
// It prints one JSON line on start, then (or in -out FILE) one JSON line for each event that it received:
//
//	{"receiver":"splunkhecreceiver","version":"v0.144.0","url":"http://127.0.0.1:40123"}
//	{"time":1772461921.25,"host":"web-01","source":"linuxguard","sourcetype":"linuxguard:signal","index":"main",
//	 "event":{...},"fields":{"delivery_id":"..."},"token":"..."}
//
// It stops on SIGTERM, SIGINT, and when its standard input ends, so that a test that dies leaves no process behind.
package main
