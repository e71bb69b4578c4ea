package directory

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// orderedUUIDs makes UUIDs of version 7 (RFC 9562 §5.7) that rise one by one
// within the load they are made for: the time, the serial number as a counter
// (§6.2, method 1) and 42 random bits of the load. Rising, they compress, and
// their index is written without sorting.
func orderedUUIDs() func() UUID {
	var load UUID
	rand.Read(load[:])
	var milli [8]byte
	binary.BigEndian.PutUint64(milli[:], uint64(time.Now().UnixMilli())<<16)
	copy(load[:6], milli[:6])
	tail, n := binary.BigEndian.Uint32(load[8:])&(1<<10-1), uint32(0)
	return func() UUID {
		u := load
		u[6] = 0x70 | byte(n>>28) // 12 bits of the counter behind the version,
		u[7] = byte(n >> 20)
		binary.BigEndian.PutUint32(u[8:], 2<<30|n<<10&(1<<30-1)|tail) // 20 behind the variant
		n++
		return u
	}
}
