// Package disktest is a disk in memory for tests: a file system (journal.FS) whose power can be cut, whose operations can be made
// to fail, and whose files can be damaged.
//
// What is written is in the page cache until it is synced: a file's bytes sector by sector (512 bytes), a folder's names
// operation by operation. A kill (Kill) loses nothing of that. A power cut (PowerCut) keeps any subset of the unsynced sectors
// and folder operations. A sync that fails as lost leaves in the page cache what never reaches the disk, as Linux does.
package disktest
