// Package syslogng tests the receiver configuration beside it with a real syslog-ng and a real bridge.
package syslogng
