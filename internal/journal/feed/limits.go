package feed

import "time"

// The limits, each with its reason.
const (
	// maxWait is how long the writer holds a question when nothing happens, not even a heartbeat: short enough that a
	// dead connection is noticed, and that a disabled node does not hang on.
	maxWait = 5 * time.Second
	// waitSlice is how often a waiting question looks at the head though nothing woke it.
	waitSlice = time.Second
	// answerPatience is how long a node waits for an answer beyond what it asked the writer to wait: then the connection
	// is given up and another made, perhaps to another writer.
	answerPatience = 10 * time.Second
	// dialPatience bounds connecting and the handshake.
	dialPatience = 5 * time.Second
	// maxBatch is how many changes one answer holds: as many as one durable batch of a copy takes, four times over.
	maxBatch = 2048
	// maxFrame bounds one encoded change: its body and what stands around it.
	maxFrame = 64<<10 + 256
	// maxAnswer bounds an answer. A transaction travels whole, so this bounds what one transaction may bring.
	maxAnswer = 256 << 20
	// maxLease bounds the header a node describes itself in.
	maxLease = 512
	// maxProblem bounds what is read of an answer that tells of trouble.
	maxProblem = 4 << 10
	// copyStep is how much of a content is sent between two looks whether the node may still have it.
	copyStep = 256 << 10
	// stepPatience is how long a node may take over one such piece: 4 KiB a second at the least.
	stepPatience = time.Minute
	// resumeTries is how often the rest of a content is asked for though nothing came, with resumePause, twice it, … in
	// between: 3 s in all, for a connection that was lost. What lasts longer is the follower's to try again.
	resumeTries = 5
	resumePause = 200 * time.Millisecond
	// liveFor is how long after its last question a node counts as being there: heartbeats make it ask each second.
	liveFor = 10 * time.Second
	// certifyBurst and certifyEvery bound what a node may have signed by a CA: each costs a signature and a row for ever.
	// A start takes one for each issuing CA that is answered for, all generations counted, and two of its own; an edge renews
	// each twice an hour at the most. With ten of them that is five starts at once, and renewing is never refused.
	certifyBurst = 60
	certifyEvery = time.Minute
	// MaxSkew is how far a node's clock and the writer's may differ before it is said: answers of OCSP are dated by it.
	MaxSkew = 2 * time.Second
	// WrongClock is how far they may differ before a node vouches for nothing: what it signed would be dated by a time that
	// is not, and ended certificates would sign in. Relying systems allow for minutes, and answers live for two.
	WrongClock = time.Minute
)
