// Package outputtest is the conformance suite that every kind of output passes, the records to try one with, and servers
// that behave badly on purpose. Only tests import it.
//
// A kind's test starts a receiver of its own and tells the suite how to make an output for it and how to see what has
// arrived:
//
//	func TestConformance(t *testing.T) {
//		outputtest.Run(t, func(t *testing.T) outputtest.Harness {
//			receiver := startReceiver(t)
//			return outputtest.Harness{New: ..., Received: receiver.Sequences, Break: receiver.Stop, Mend: receiver.Start}
//		})
//	}
//
// Each sentence of the Output interface's comment is one subtest. What a Harness leaves nil is not tried; a subtest for
// which nothing is left is reported as skipped, with what the harness lacks.
package outputtest
