// Package queuetest is the suite that every engine of the queue passes, through the contract in bridge/queue alone. Only
// tests import it.
//
// An engine's test says how to make a place for its data, and runs the suite and the model in it:
//
//	func TestSuite(t *testing.T) { queuetest.Run(t, queuetest.Engine{Name: "local", New: newWorld}) }
//	func TestModel(t *testing.T) { queuetest.RunModel(t, queuetest.Engine{Name: "local", New: newWorld}) }
//
// A World may offer faults (Failer, Staller, Crasher); a test that needs one which the world doesn't offer is skipped and
// says so. The package memory holds the engine that shows that the suite can be passed, and that it finds what is wrong.
package queuetest
