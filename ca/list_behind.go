package ca

import "io"

// behindRooms are filled, waiting and being written in turn.
const behindRooms = 3

// behind writes to w beside whoever fills the next room, in order: making the
// entries of a long list, storing them and hashing them each take as long. What
// fits into one room is written by end. It must be ended.
type behind struct {
	w     io.Writer
	full  chan []byte
	free  chan written
	begun int
}

// written is a room that is free again, and how writing has gone so far.
type written struct {
	room []byte
	err  error
}

// chunk is how much of a list is handled at a time.
const chunk = 128 << 10

// append adds octets, at most a chunk, to the room that is being filled, nil at
// first, or to the next one. After an error nothing more is written.
func (b *behind) append(room, p []byte) (_ []byte, err error) {
	if len(room)+len(p) > chunk {
		room, err = b.next(room)
	}
	return append(room, p...), err
}

// next takes a room to be written and gives an empty one.
func (b *behind) next(room []byte) ([]byte, error) {
	if b.full == nil {
		b.begin()
	}
	b.full <- room
	if b.begun++; b.begun < behindRooms {
		return make([]byte, 0, chunk), nil
	}
	free := <-b.free
	return free.room, free.err
}

func (b *behind) begin() {
	b.full, b.free = make(chan []byte, behindRooms), make(chan written, behindRooms)
	go func() {
		defer close(b.free)
		var err error
		for room := range b.full {
			if err == nil {
				_, err = b.w.Write(room)
			}
			b.free <- written{room[:0], err}
		}
	}()
}

// end has the last room written and waits until all are: nobody uses w after.
func (b *behind) end(room []byte) (err error) {
	if b.full == nil {
		_, err = b.w.Write(room)
		return err
	}
	b.full <- room
	close(b.full)
	for free := range b.free {
		err = free.err
	}
	return err
}
