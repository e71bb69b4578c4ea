package ocsp

import (
	"bytes"
	"hash/maphash"
	"sync"
	"time"
)

// answer is a signed ResponseData about one certificate, without a nonce, and what is needed to know that it is still
// true. The response around it is put together for each request: the responder's certificate is the larger part of it
// and the same for all. What is kept is never changed, but for one mark.
type answer struct {
	bytes      []byte // the ResponseData, and behind it the signature
	signed     int    // how many of them the signature is over
	idAt, idTo int    // where in bytes the CertID is; nowhere in an answer that is not for keeping
	signer     *delegate
	method     *signatureMethod
	result     result
	generation uint64 // of the data it was made from
	thisUpdate time.Time
	producedAt time.Time
	nextUpdate time.Time
	wanted     time.Time // from when a fresh one is better
	due        time.Time // from when this one is not given out
	maxAge     time.Duration
	queued     uint32 // 1 while it stands among the renewals; the one thing that changes
}

func (a *answer) id() []byte { return a.bytes[a.idAt:a.idTo] }

// copyOf is the answer in memory of its own: one block that the garbage collector need not look into.
func (a *answer) copyOf() *answer {
	c := *a
	c.bytes, c.queued = bytes.Clone(a.bytes), 0
	return &c
}

// answers keeps signed answers by CertID. It forgets at random when it is full; it never decides whether an answer is
// still true.
type answers struct {
	seed   maphash.Seed
	limit  int // of one part
	shards [64]answerShard
}

type answerShard struct {
	mu sync.RWMutex
	m  map[uint64]*answer
}

func newAnswers(limit int) *answers {
	a := &answers{seed: maphash.MakeSeed()}
	a.limit = max(limit/len(a.shards), 1)
	for i := range a.shards {
		a.shards[i].m = map[uint64]*answer{}
	}
	return a
}

func (a *answers) get(id []byte) *answer {
	h := maphash.Bytes(a.seed, id)
	s := &a.shards[h%uint64(len(a.shards))]
	s.mu.RLock()
	found := s.m[h]
	s.mu.RUnlock()
	if found == nil || !bytes.Equal(found.id(), id) {
		return nil
	}
	return found
}

func (a *answers) put(x *answer) {
	h := maphash.Bytes(a.seed, x.id())
	s := &a.shards[h%uint64(len(a.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, has := s.m[h]; !has && len(s.m) >= a.limit {
		for old := range s.m { // any: the order of a map is random
			delete(s.m, old)
			break
		}
	}
	s.m[h] = x
}
