package journal

import (
	"context"
	"fmt"
	"time"
)

// verifyStep is how many changes VerifyChain asks for at a time.
const verifyStep = 512

// Verifier checks a chain change by change. The zero value stands before position 1; to start later, set Position and
// Link to a change that is trusted, for instance from a signed checkpoint.
type Verifier struct {
	Position Position
	Link     Hash
	Time     time.Time
}

// Next checks that c follows what was checked before. The error is a *BrokenLink naming the exact position.
func (v *Verifier) Next(c *Change) error {
	switch {
	case c.Position != v.Position+1:
		return &BrokenLink{Position: v.Position + 1, What: fmt.Sprintf("position %d stands where %d should", c.Position, v.Position+1)}
	case c.Time.Before(v.Time):
		return &BrokenLink{Position: c.Position, What: "its time lies before the change in front"}
	}
	if err := c.Verify(v.Link); err != nil {
		return err
	}
	v.Position, v.Link, v.Time = c.Position, c.Link, c.Time
	return nil
}

// VerifyChain checks a whole journal from position 1 up to the head it had when called and returns that head. The
// first change that does not fit is named by a *BrokenLink.
func VerifyChain(ctx context.Context, f Feed) (Head, error) {
	return VerifyChainAfter(ctx, f, Verifier{})
}

// VerifyChainAfter is VerifyChain from a change that is trusted already.
func VerifyChainAfter(ctx context.Context, f Feed, v Verifier) (Head, error) {
	head, err := f.Head(ctx)
	if err != nil {
		return Head{}, fmt.Errorf("reading the head: %w", err)
	}
	for v.Position < head.Position {
		changes, err := f.Read(ctx, v.Position, verifyStep)
		if err != nil {
			return head, fmt.Errorf("reading after position %d: %w", v.Position, err)
		}
		if len(changes) == 0 {
			return head, &BrokenLink{Position: v.Position + 1, What: fmt.Sprintf("missing, though the head stands at %d", head.Position)}
		}
		if err := v.through(changes, head); err != nil {
			return head, err
		}
	}
	if v.Position == head.Position && v.Link != head.Link {
		return head, &BrokenLink{Position: head.Position, What: "the head carries another link than its change"}
	}
	return head, nil
}

// through checks changes and, on passing it, the head's own link.
func (v *Verifier) through(changes []Change, head Head) error {
	for i := range changes {
		if err := v.Next(&changes[i]); err != nil {
			return err
		}
		if v.Position != head.Position {
			continue
		}
		if v.Link != head.Link {
			return &BrokenLink{Position: head.Position, What: "the head carries another link than its change"}
		}
		if !changes[i].Last {
			return &BrokenLink{Position: head.Position, What: "the head stands within a transaction"}
		}
	}
	return nil
}
