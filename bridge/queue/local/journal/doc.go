// Package journal keeps numbered records in a folder of segment files, with one sync a write. It knows neither events nor
// outputs: what a record means is its user's, bridge/queue/local.
//
// # Files
//
//	<directory>/<number>.seg    a segment: fixed size, zeroed beforehand or recycled
//	<directory>/prepared        the segment that is being made; deleted at start
//
// Numbers rise and are never given twice. All integers are little-endian.
//
//	segment head, in a page of its own (4,096 bytes)
//	+---------+---------+--------+--------+------+------+---------------------+
//	| magic 8 | version | CRC-32C| number | salt | size | identity            |
//	|         | 4       | 4      | 8      | 4 + 4| 8    | length 1, text      |
//	+---------+---------+--------+--------+------+------+---------------------+
//
//	group: what one sync makes durable, at a 512-byte boundary, padded with zeros
//	+---------+---------+------+-------+--------+-------+------+---------+----------------------------+
//	| magic 4 | CRC-32C | salt | size  | offset | count | first| base    | marks 2 x 8 | records      |
//	|         | 4       | 4    | 4     | 8      | 4 + 4 | 8    | 8       |             | length, bytes|
//	+---------+---------+------+-------+--------+-------+------+---------+----------------------------+
//
// The CRC covers the rest of the group, the segment's salt and its number, so that neither a group of the file's former
// life nor one that was moved can be taken for one of this segment. first is the number of the group's first record; base
// the number of the first record of its segment; marks are two numbers of the user's that only rise.
//
// # A write
//
// A group counts whole or not at all, is never split, and is written behind the last one in one write and one sync. A sector
// of 512 bytes is taken to be written whole. After the sync the path is compared with the open file, so that nothing is
// answered that went into a file which is no longer there. After a failed write or sync nothing more goes into that segment: the
// next group goes into the next one, with the number that the failed one had. So records of a segment at or above the
// base of a later one are void.
//
// # Recovery
//
// Record numbers have no gaps. An incomplete last group is an unfinished write, and the next group overwrites it. Whatever
// else is missing in a segment is damage: the Scanner goes on with the next whole group and Missing says which numbers are
// missing. The last whole group is written and synced again (Confirm) before the journal takes others, since the page cache
// may have shown what the disk never had. Found.Remains says that the remains of more than one unfinished group follow the
// last whole one: then the newest number is not certain, as it isn't when the newest segment is missing, short or without a
// head. A segment that was retired may be there again after a power cut, and the one behind it not: nothing in it is needed.
//
// A read that fails is not damage: it is returned as an error, and nothing is changed.
package journal
