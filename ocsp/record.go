package ocsp

import (
	"encoding/binary"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// Record is what the table knows of one serial.
type Record struct {
	Recorded bool         // a certificate with this serial was recorded; false for a status kept from a lost history
	Digest   journal.Hash // SHA-256 of the certificate's DER; zero when it was never delivered
	NotAfter time.Time    // of the certificate, rounded up to a day
	Status   certs.Status
	Changed  journal.Position // where the status was last changed; 0 while it never was
}

// The form of a record, kept short because a large workforce has tens of millions: one octet of flags; if recorded, the
// day of notAfter (2 octets, until 2149) and the digest; if not good, the reason and three varints: revocation time,
// invalidity date (both in seconds, 0 = absent) and position. A good status that was once another keeps its position.
const (
	flagState    = 0x03 // certs.State
	flagRecorded = 0x04
	flagChanged  = 0x08 // reason, times and position follow
)

const day = 24 * 60 * 60

func (r *Record) append(b []byte) []byte {
	flags := byte(r.Status.State)
	if r.Recorded {
		flags |= flagRecorded
	}
	if r.Changed != 0 {
		flags |= flagChanged
	}
	b = append(b, flags)
	if r.Recorded {
		b = binary.BigEndian.AppendUint16(b, dayOf(r.NotAfter))
		b = append(b, r.Digest[:]...)
	}
	if r.Changed != 0 {
		b = append(b, byte(r.Status.Reason))
		b = binary.AppendUvarint(b, unixSeconds(r.Status.At))
		b = binary.AppendUvarint(b, unixSeconds(r.Status.Invalidity))
		b = binary.AppendUvarint(b, uint64(r.Changed))
	}
	return b
}

func dayOf(t time.Time) uint16 {
	return uint16(min(max((t.Unix()+day-1)/day, 0), 1<<16-1))
}

func unixSeconds(t time.Time) uint64 {
	if t.IsZero() || t.Unix() < 0 {
		return 0
	}
	return uint64(t.Unix())
}

// parseRecord reads what append wrote; false for anything else.
func parseRecord(b []byte) (r Record, ok bool) {
	if len(b) == 0 || b[0]&flagState > byte(certs.StateRevoked) || b[0] > flagState|flagRecorded|flagChanged {
		return r, false
	}
	flags := b[0]
	b = b[1:]
	r.Status.State = certs.State(flags & flagState)
	if flags&flagRecorded != 0 {
		if len(b) < 2+len(r.Digest) {
			return r, false
		}
		r.Recorded = true
		r.NotAfter = time.Unix(int64(binary.BigEndian.Uint16(b))*day, 0).UTC()
		b = b[2+copy(r.Digest[:], b[2:]):]
	}
	if flags&flagChanged == 0 {
		return r, len(b) == 0 && r.Status.State == certs.StateGood && r.Recorded // nothing is stored for neither
	}
	if len(b) == 0 {
		return r, false
	}
	r.Status.Reason = certs.Reason(b[0])
	b = b[1:]
	var values [3]uint64
	for i := range values {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return r, false
		}
		values[i], b = v, b[n:]
	}
	r.Status.At, r.Status.Invalidity = fromSeconds(values[0]), fromSeconds(values[1])
	r.Changed = journal.Position(values[2])
	wasSet := r.Status.Reason != 0 || values[0]|values[1] != 0
	if r.Status.State == certs.StateGood && wasSet || max(values[0], values[1]) > latest || r.Changed == 0 {
		return r, false
	}
	return r, len(b) == 0
}

// latest bounds the times of a record: some 34,000 years from now.
const latest = 1 << 40

func fromSeconds(v uint64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(int64(v), 0).UTC()
}
