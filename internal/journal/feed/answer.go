package feed

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"cardinal/internal/journal"
)

// An answer about the journal: the magic, then frames, each behind its length as a varint. The first is the outline, which
// says how many follow; the others are changes in journal's own form.
const answerMagic = "cardinal feed 1\n"

// outline is what an answer says of the journal and of itself.
type outline struct {
	head  journal.Head
	held  time.Duration // between the question's arrival and the reading of the head
	now   time.Time     // the writer's clock when the head was read
	count int           // of the changes that follow
}

func (o *outline) append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendUint(uint64(o.head.Epoch))
	e.AppendUint(uint64(o.head.Position))
	e.AppendHash(o.head.Link)
	e.AppendTime(o.head.Time)
	e.AppendBool(o.head.Quarantine)
	e.AppendUint(uint64(o.held.Microseconds()))
	e.AppendTime(o.now)
	e.AppendUint(uint64(o.count))
	return e.Bytes()
}

// maxCount bounds the changes of one answer: a transaction travels whole, and the shortest change takes 84 octets.
const maxCount = maxAnswer / 84

func parseOutline(b []byte) (outline, error) {
	d := journal.NewDecoder(b)
	var o outline
	o.head.Epoch = journal.Epoch(d.Uint())
	o.head.Position = journal.Position(d.Uint())
	o.head.Link = d.Hash()
	o.head.Time = d.Time()
	o.head.Quarantine = d.Bool()
	o.held = time.Duration(d.UintMax(uint64(time.Hour/time.Microsecond))) * time.Microsecond
	o.now = d.Time()
	o.count = int(d.UintMax(maxCount))
	return o, d.End()
}

// writeAnswer writes an answer; the count is that of changes.
func writeAnswer(w io.Writer, o outline, changes []journal.Change) error {
	o.count = len(changes)
	b := bufio.NewWriterSize(w, 64<<10)
	_, err := b.WriteString(answerMagic)
	err = errors.Join(err, writeFrame(b, o.append(nil)))
	var room []byte
	for i := range changes {
		room = journal.AppendChange(room[:0], &changes[i])
		if err := writeFrame(b, room); err != nil {
			return err
		}
	}
	return errors.Join(err, b.Flush())
}

func writeFrame(b *bufio.Writer, frame []byte) error {
	if _, err := b.Write(binary.AppendUvarint(nil, uint64(len(frame)))); err != nil {
		return err
	}
	_, err := b.Write(frame)
	return err
}

// readAnswer reads an answer whole. What the changes say is not verified. Errors are the reader's, or wrap ErrUnreadable.
func readAnswer(r io.Reader) (outline, []journal.Change, error) {
	in := bufio.NewReaderSize(&bounded{r: r, left: maxAnswer}, 64<<10)
	magic := make([]byte, len(answerMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		return outline{}, nil, cutOff(err)
	}
	if string(magic) != answerMagic {
		return outline{}, nil, fmt.Errorf("%w: the answer is of another program or version", ErrUnreadable)
	}
	first, err := readFrame(in)
	if err != nil {
		return outline{}, nil, err
	}
	o, err := parseOutline(first)
	if err != nil {
		return outline{}, nil, errors.Join(ErrUnreadable, err)
	}
	var changes []journal.Change
	for range o.count {
		c, err := readChange(in)
		if err != nil {
			return outline{}, nil, fmt.Errorf("change %d of %d: %w", len(changes)+1, o.count, err)
		}
		changes = append(changes, c)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return outline{}, nil, errors.Join(fmt.Errorf("%w: more than was announced", ErrUnreadable), err)
	}
	return o, changes, nil
}

func readChange(in *bufio.Reader) (journal.Change, error) {
	frame, err := readFrame(in)
	if err != nil {
		return journal.Change{}, err
	}
	c, rest, err := journal.ParseChange(frame)
	if err == nil && len(rest) > 0 {
		err = journal.ErrMalformed
	}
	if err != nil {
		return c, errors.Join(ErrUnreadable, err)
	}
	return c, nil
}

func readFrame(in *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, cutOff(err)
	}
	if n > maxFrame {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrUnreadable, n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, cutOff(err)
	}
	return frame, nil
}

// cutOff: an answer says how long it is, so its end never comes as a surprise.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// bounded fails when more than left bytes come.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: an answer of more than %d bytes", ErrUnreadable, int64(maxAnswer))
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
