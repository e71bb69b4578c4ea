package issuance

import "time"

// The limits of work on many cards, each with its reason.
const (
	// mostAlone is how many cards one administrator stops or ends without a
	// second: a ward's worth, so that a night shift need not wake anybody, and
	// not a hospital's. An installation may want fewer.
	mostAlone = 100
	// LeastBreakGlass is how many cards must still sign in when all others were
	// stopped: two persons lift a suspension, and one may be asleep.
	LeastBreakGlass = 3
	// mostBreakGlass bounds what a mass suspension leaves working.
	mostBreakGlass = 100
	// mostNamed is how many cards, persons and serials one order names: a national
	// workforce. By then they take 12 MB of a request.
	mostNamed = 1_000_000
	// mostOrders is how many orders may be open at once; they run in turn.
	mostOrders = 16
	// mostSample is how many cards a dry run shows by name.
	mostSample = 20
	// filterMax is the longest filter, in octets.
	filterMax = 4096

	// holdAim is how long a block should hold the journal's head, the commit with
	// it: no transaction may for 50 ms, and what waits behind it (a single cancel,
	// an issue) must not notice. The rest is for a block that takes longer than the
	// one before it: blocks are read beside, so that shorter ones cost little more.
	holdAim = 25 * time.Millisecond
	// blockFirst, blockLeast and blockMost are how many cards a block takes: it
	// begins small and finds its size by holdAim. Below blockLeast what a commit costs
	// anyway outweighs the cards, and a machine that busy holds everybody up. A
	// copy takes a block in as one, too, which bounds it from above, and up to
	// there each kind of change fits one record of the journal.
	blockFirst = 64
	blockLeast = 32
	blockMost  = 2000
	// paceLimit is how long a block waits for the copy to have taken in the block
	// before the last. A single change comes after whatever the copy still has to
	// do; but a copy that hangs must not keep lost cards working.
	paceLimit = 2 * time.Second
	// placing is how long an order may be in the making. A million names take a
	// minute on a busy machine; what is older was left by a process that died.
	placing = 15 * time.Minute
	// storeBlock is how many cards of an order are written down at a time, small
	// rows in order.
	storeBlock = 1000
	// scanPage is how many cards are read at a time when a filter looks at all.
	scanPage = 5000
	// orderPoll is how often a worker looks for work of another process; that of
	// its own wakes it.
	orderPoll = time.Second

	undoUsual   = time.Hour      // how long a suspension can be undone by one administrator
	expiryUsual = 24 * time.Hour // how long an order waits for the second
)
