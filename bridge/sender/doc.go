// Package sender is the other end of the wire: it makes signed LinuxGuard webhooks and posts them as LinuxGuard does.
// The command `send`, the demonstration and the end-to-end tests use it; the daemon itself does not.
//
//	Sample ──▶ Signer.Deliver ──▶ Delivery{body, ID, signature} ──▶ Client.Post ──▶ Answer{status, outcome, reason}
//
// It is a leaf: it shares no code with the receiving side, so that a mistake in one can't hide in the other.
package sender
