package directory

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cardinal/internal/journal"
)

// CSN renders a change's time and position as the change sequence number that
// entryCSN, contextCSN and sync cookies carry, in the form slapd reads
// (time#count#sid#mod). The position's high 24 bits are the count and its low
// 24 bits the mod, so that numbers order as positions do, each change has its
// own, and a cookie names a position.
func CSN(t time.Time, p journal.Position) []byte {
	b := t.UTC().AppendFormat(make([]byte, 0, 40), "20060102150405.000000Z")
	return fmt.Appendf(b, "#%06x#000#%06x", uint64(p)>>24&0xffffff, uint64(p)&0xffffff)
}

// ParseCSN reads what CSN wrote. ok is false for numbers of another server.
func ParseCSN(v string) (t time.Time, p journal.Position, ok bool) {
	parts := strings.Split(v, "#")
	if checkCSN([]byte(v)) != nil || parts[2] != "000" {
		return t, 0, false
	}
	t, err := ParseTime([]byte(parts[0]))
	count, err1 := strconv.ParseUint(parts[1], 16, 64)
	mod, err2 := strconv.ParseUint(parts[3], 16, 64)
	return t, journal.Position(count<<24 | mod), err == nil && err1 == nil && err2 == nil
}
