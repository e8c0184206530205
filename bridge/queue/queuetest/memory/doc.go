// Package memory is a queue that keeps everything in memory: the reference that shows what the suite in queuetest demands,
// and a queue for the tests of other packages. Only tests import it.
//
//	q, err := memory.New().Open(ctx, memory.Options{})
//
// A World stands for the disk: it outlives the queues that are opened on it, and Kill ends one as SIGKILL would. Every change
// is made in a copy of the state that becomes the new one in a single step, so that a failed write leaves no trace and a
// reader always sees a whole state. All look-ups are linear: it is for hundreds of events, not for millions.
package memory
