package journal

// AnotherVersion makes a segment one of version 7.
func AnotherVersion(b []byte) []byte {
	order.PutUint32(b[8:], 7)
	order.PutUint32(b[12:], headSum(b))
	return b
}
