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
	// it: what waits behind it (a single cancel, an issue) must not notice.
	holdAim = 25 * time.Millisecond
	// blockFirst, blockLeast and blockMost are how many cards a block takes: it
	// begins small and finds its size by holdAim. Below blockLeast what a commit costs
	// anyway outweighs the cards, and a machine that busy holds everybody up.
	blockFirst = 128
	blockLeast = 64
	blockMost  = 2000
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
