// Package webhook is the bridge's receiving side: it verifies LinuxGuard's webhooks, makes them durable through a
// queue.Appender and answers.
package webhook
