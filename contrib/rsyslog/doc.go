// Package rsyslog tests the receiver configuration beside it with a real rsyslog and a real bridge.
package rsyslog
