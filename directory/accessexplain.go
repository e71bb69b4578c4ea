package directory

// Decision is what the rules say of one right and which of them said it.
type Decision struct {
	Allowed bool
	Rule    string // name of the rule; without one, why none was asked
	Line    int    // of the rule in its file; 0 without one
}

// Step is how one rule stands to a question.
type Step struct {
	Rule string
	Line int
	Why  string // decides: allowed, decides: refused, or what does not fit
}

// Explain decides as Allows does, and lists in order every rule with why it
// fits or not.
func (r *Rules) Explain(who *Identity, on EntryView, attr string, right Right) (Decision, []Step) {
	allowed, by := r.Allows(who, on, attr, right)
	out := Decision{Allowed: allowed, Rule: by}
	var t *AttributeType
	if attr != EntryPart {
		t = r.schema.Attribute(attr)
	}
	key := on.Key()
	var steps []Step
	for _, x := range r.list {
		s := Step{Rule: x.name, Line: x.line, Why: "would fit, but is not reached"}
		switch {
		case attr != EntryPart && t == nil || !x.attributes.has(t):
			s.Why = "another attribute"
		case x.rights&right == 0:
			s.Why = "another right"
		case !x.manner.fits(who):
			s.Why = "another way of coming"
		case !x.fits(who, key):
			s.Why = "another identity"
		case !x.covers(on, x.deny):
			s.Why = "another entry"
		case x.name == by && !who.Root:
			out.Line = x.line
			s.Why = map[bool]string{false: "decides: allowed", true: "decides: refused"}[x.deny]
		}
		steps = append(steps, s)
	}
	return out, steps
}
