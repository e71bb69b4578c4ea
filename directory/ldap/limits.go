package ldap

import "time"

// Limits bound what one client, or all of them, can make the server do. The
// zero value of a field means the default beside it.
type Limits struct {
	// MaxAnonymousPDU is the largest request before a successful bind, in
	// octets of its declared length (256 KiB). No anonymous request needs
	// more, and whoever has shown nothing should not be given buffers.
	MaxAnonymousPDU int
	// MaxPDU is the same after a bind (16 MiB): photos and large groups fit.
	MaxPDU int
	// MaxConnections are held at once over all listeners (20,000); the next
	// one is accepted and closed. Each costs a goroutine and about 30 KiB.
	MaxConnections int
	// MaxInFlight are requests being worked on at once over all connections
	// (2,000); past it the answer is busy. It bounds memory, not speed.
	MaxInFlight int
	// MaxInFlightPerConnection is the share of one connection (100), so that
	// one client cannot make all others busy.
	MaxInFlightPerConnection int
	// MaxFollowing are the searches that follow changes at once over all
	// connections (5,000): each costs a goroutine and a place in a list, and a
	// change that concerns it an answer. MaxFollowingPerIdentity is the share of
	// one (500), MaxFollowingPerConnection that of one connection (20). They rest
	// most of the time and do not count as in flight.
	MaxFollowing, MaxFollowingPerIdentity, MaxFollowingPerConnection int
	// Idle is how long a connection may say nothing (1 h); pools of relying
	// systems rest for long.
	Idle time.Duration
	// Handshake is how long a TLS handshake or the first request may take
	// (30 s): half-open connections go early.
	Handshake time.Duration
	// Write is how long a client may take to accept a piece of an answer
	// (30 s). After it the connection is cut.
	Write time.Duration
	// Size is how many entries a search returns when the client sets no limit
	// (10,000), MaxSize the most a client may ask for (100,000), so that a
	// careless filter does not carry the whole workforce away. A paged search is
	// bounded by its pages alone, a root identity not at all.
	Size, MaxSize int
	// Sorted is how many entries one search sorts (100,000): each page and each
	// window of a sorted list goes through all of them, and nobody reads a
	// longer one. Sorts is how many searches that go through more than a
	// handful sort at once (8), each with up to 64 MiB; past it the answer is
	// busy.
	Sorted, Sorts int
	// Time is how long one search may take (60 s); clients may ask for less.
	Time time.Duration
	// Candidates is how many entries one search may test (5,000,000): it
	// stops a filter without an index on a directory far larger than planned.
	Candidates int
	// Wait is how long an update waits for the local copy to show it (10 s).
	Wait time.Duration
	// Transaction is how long a transaction may be open (1 min). It holds
	// nothing but memory; the bound gives that back from clients that forget.
	Transaction time.Duration
	// Hashing is how many passwords are verified at once (half the
	// processors, at least one): binds cannot starve searches.
	Hashing int
	// Turns is how many pieces of work that may take long, or come in floods,
	// run at once (half the processors, at least one): long searches, binds,
	// handshakes. Short requests always find a processor soon.
	Turns int
	// HashingWait is how long a password waits for its turn to be verified
	// (5 s); past it the answer is busy, so that a flood of wrong passwords
	// holds no bind up for ever. Passwords verified before do not wait.
	HashingWait time.Duration
	// Age is how old the local copy may be before every answer is
	// unavailable (5 min).
	Age time.Duration
}

// Limits of decoding and of one step, which nobody needs to change.
const (
	// maxFilterDepth and maxFilterNodes bound a filter before it is compiled;
	// real filters have a depth of 3 and a dozen nodes. slapd allows 1,000
	// levels, others 12 to 40.
	maxFilterDepth = 100
	maxFilterNodes = 2_000
	// maxAttributes bounds the attribute list of a search.
	maxAttributes = 2_000
	// maxControls bounds the controls of one request.
	maxControls = 32
	// maxTransactionUpdates and maxTransactionOctets bound the updates of one
	// transaction (RFC 5805) and their requests: they are made while the
	// ledger's head is held, which should take less than 50 ms.
	maxTransactionUpdates = 200
	maxTransactionOctets  = 1 << 20
	// maxTree bounds what is looked at below an entry that is to be deleted. The
	// Writer has a lower bound of its own for a subtree.
	maxTree = 10_000
	// maxSortKeys bounds the keys of an order; people give two or three.
	maxSortKeys = 8
	// sortedOctets is how much of a value's normal form counts in an order, so
	// that keys and cookies stay small; it is longer than any name.
	sortedOctets = 256
	// sortedMemory bounds the keys of one sorted search; sortedSpare is how
	// many more than are wanted are gathered before the surplus is dropped.
	sortedMemory = 64 << 20
	sortedSpare  = 1024
	// maxValueItems bounds the items of a matched values filter.
	maxValueItems = 200
	// inlineCandidates and inlineOutput are how far a search goes on the
	// goroutine that reads the connection: nearly every search ends within
	// them and costs no hand-over. Beyond, it takes turns, so that short
	// requests need not wait for it, and the reader is free to see an abandon.
	// A search that is sorted goes further, since few may sort much at once.
	inlineCandidates = 64
	inlineSorted     = 200
	inlineOutput     = 32 << 10
	// stepCandidates is how many entries are tested before a long search lets
	// go of the store and looks at the time: some 50 µs where nothing matches,
	// a few hundred where everything does.
	stepCandidates = 32
	// stepOutput is how much of an answer is gathered before it is written.
	// Clients that do not read hold so much each.
	stepOutput = 64 << 10
	// quantum is how much work that takes turns does before it lets others run:
	// a short request waits for about half of it, and to let others run costs a
	// fiftieth of it.
	quantum = 100 * time.Microsecond
	// shortShare is how many times that short requests get, while there are
	// any: at worst they are a third slower, and long work four times.
	shortShare = 3
	// mostOwed bounds what is owed to short requests at once, for work that
	// cannot be cut into pieces, or was interrupted by another process.
	mostOwed = 2 * time.Millisecond
	// slice is how much work does while others of its kind wait: thousands of
	// entries are found and written in it, so that most searches end within
	// one, and a thousand of them one after the other, not all at the last.
	slice = 20 * time.Millisecond
	// longSearch is what a search has used when it comes behind those that need
	// less.
	longSearch = slice
	// lanePatience is how many of a more urgent lane go first.
	lanePatience = 3
	// inRow is how long one connection's requests that are there already are
	// answered without a turn: some dozen.
	inRow = 4 * quantum
	// atOnce is how long it takes at most to be given what is there already;
	// what takes longer has been waited for.
	atOnce = 5 * time.Microsecond
	// bunchMost is how long an answer waits for those of other connections
	// before that is not tried again for the next bunchHeld: something else has
	// the processor, longer than a lone change takes, and less than one answer
	// in a hundred may wait for that.
	bunchMost = 2 * time.Millisecond
	bunchHeld = 127
	// bunchLeast is how long it waits at least where others were ready: the work
	// of a few. To have nobody to wait for may take longer than atOnce, as an
	// idle processor is woken to look for work.
	bunchLeast = 20 * time.Microsecond
	// bunchAlone is how many answers go out by themselves at most, where nobody
	// else is ready, before it is looked whether somebody is: that costs as much
	// as a look at the clock.
	bunchAlone = 63
	// restingGoroutines wait, with stacks that have grown, for connections.
	restingGoroutines = 16
	// readBuffer is what a resting connection keeps for reading.
	readBuffer = 4 << 10
	// keptBuffer is the largest buffer that is kept for the next request.
	keptBuffer = 64 << 10
)

func (l Limits) withDefaults(processors int) Limits {
	setInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	setTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	setInt(&l.MaxAnonymousPDU, 256<<10)
	setInt(&l.MaxPDU, 16<<20)
	setInt(&l.MaxConnections, 20_000)
	setInt(&l.MaxInFlight, 2_000)
	setInt(&l.MaxInFlightPerConnection, 100)
	setInt(&l.MaxFollowing, 5_000)
	setInt(&l.MaxFollowingPerIdentity, 500)
	setInt(&l.MaxFollowingPerConnection, 20)
	setTime(&l.Idle, time.Hour)
	setTime(&l.Handshake, 30*time.Second)
	setTime(&l.Write, 30*time.Second)
	setInt(&l.Size, 10_000)
	setInt(&l.MaxSize, 100_000)
	setTime(&l.Time, time.Minute)
	setInt(&l.Candidates, 5_000_000)
	setInt(&l.Sorted, 100_000)
	setInt(&l.Sorts, 8)
	setTime(&l.Wait, 10*time.Second)
	setTime(&l.Transaction, time.Minute)
	setInt(&l.Hashing, max(1, processors/2))
	setInt(&l.Turns, max(1, processors/2))
	setTime(&l.HashingWait, 5*time.Second)
	setTime(&l.Age, 5*time.Minute)
	return l
}
