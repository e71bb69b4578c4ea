package workforce

import (
	"bufio"
	"io"
	"iter"

	"cardinal/directory"
)

// WriteLDIF writes entries as LDIF content records (RFC 2849) and gives how
// many there were.
func WriteLDIF(w io.Writer, entries iter.Seq[Entry]) (int, error) {
	b := bufio.NewWriterSize(w, 1<<16)
	record := []byte("version: 1\n")
	n := 0
	for e := range entries {
		record = append(record, '\n')
		record = directory.AppendLDIFLine(record, "dn", []byte(e.DN))
		for _, a := range e.Attributes {
			for _, v := range a.Values {
				record = directory.AppendLDIFLine(record, a.Type, []byte(v))
			}
		}
		if _, err := b.Write(record); err != nil {
			return n, err
		}
		record = record[:0]
		n++
	}
	return n, b.Flush()
}
