package ledger

import "time"

// The limits of this package, each with its reason.
const (
	// maxGroup is how many writes share a commit at most: what fits well into maxHold.
	maxGroup = 256
	// lull is how long nobody must have come before a commit that waits for more begins, and maxGather how long it waits
	// at most. It waits only when several write at a time and fewer have come than shared one of the last commits: those
	// who were answered come back, and a commit costs what some five writes do.
	lull      = 50 * time.Microsecond
	maxGather = 3 * time.Millisecond
	// tailChanges and tailBytes bound the changes kept for followers in this process, which are a batch behind.
	tailChanges = 4096
	tailBytes   = 4 << 20
	// maxHold is how long a group takes new writes in, and how long one function may hold the head before it is
	// logged: other processes wait meanwhile.
	maxHold = 50 * time.Millisecond
	// maxAttempts is how often a group is tried on a new connection when the old one broke before the commit.
	maxAttempts = 3
	// groupLimit ends the statements of a group on PostgreSQL that hang.
	groupLimit = 30 * time.Second
	// resolveFor is how long the ledger asks for the outcome of a commit before it answers ErrOutcomeUnknown: a
	// PostgreSQL standby takes over in 0.1 to 6 s.
	resolveFor = 15 * time.Second
	// retryAfter is the pause between two tries to connect.
	retryAfter = 50 * time.Millisecond
	// maxSkew is how far the clocks of host and database may differ.
	maxSkew = 2 * time.Second
	// poll is how often a waiting reader looks for what other processes committed; commits of this process wake it at
	// once. Twenty single-row reads a second cost under 0.1 % of a core.
	poll = 50 * time.Millisecond
	// maxRead bounds the bodies one Read of the feed returns, in bytes, up to the end of a transaction.
	maxRead = 8 << 20
	// maxStatements bounds the prepared statements kept on one connection.
	maxStatements = 256
	// restoreRows and restoreBytes bound what a restore sends to the database at a time.
	restoreRows  = 500
	restoreBytes = 4 << 20
	// idleReaders is how many connections for reading keep their prepared statements.
	idleReaders = 8
	// openReaders is how many there are at most.
	openReaders = 16
)
