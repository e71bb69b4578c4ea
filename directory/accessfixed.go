package directory

// Fixed returns what an identity may do with the entries at and below base, if
// the rules make no difference between them: then one look serves a whole
// search. ok is false if some rule may fit one entry and not another. buf may
// be nil; its memory is reused.
func (r *Rules) Fixed(who *Identity, base Key, buf *Access) (a *Access, ok bool) {
	if buf == nil {
		buf = &Access{}
	}
	buf.root, buf.rules = who.Root, buf.rules[:0]
	if who.Root {
		return buf, true
	}
	for _, x := range r.list {
		fits, fixed := x.fitsAll(who, base)
		switch {
		case !fixed:
			return nil, false
		case fits:
			buf.rules = append(buf.rules, x)
		}
	}
	return buf, true
}

// fitsAll decides a rule for every entry at and below base at once; fixed is
// false where that cannot be done.
func (x *rule) fitsAll(who *Identity, base Key) (fits, fixed bool) {
	covers, fixed := x.coversAll(base)
	if fixed && !covers || !x.manner.fits(who) {
		return false, true
	}
	for i := range x.who {
		f, ok := x.who[i].fitsAll(who, base)
		f = f || x.deny && x.who[i].unasked(who)
		if !ok {
			return false, false
		}
		fits = fits || f
	}
	if !fits {
		return false, true
	}
	return true, fixed
}

func (s *subjectScope) coversAll(base Key) (covers, fixed bool) {
	switch {
	case s.all:
		return true, true
	case s.isScope && !s.base.Contains(base) && !base.Contains(s.base),
		s.isScope && s.scope == "one" && !base.Contains(s.base) && base.Parent() != s.base,
		s.isScope && s.scope == "entry" && !base.Contains(s.base):
		return false, true
	case s.query != nil:
		return false, false
	case s.isScope && s.scope == "subtree" && s.base.Contains(base),
		s.isScope && s.scope == "children" && s.base.Contains(base) && s.base != base:
		return true, true
	}
	return false, false
}

func (s *subject) fitsAll(who *Identity, base Key) (fits, fixed bool) {
	switch s.kind {
	case "self", "selfSubtree":
		if who.Key == "" || !who.Key.Contains(base) && !base.Contains(who.Key) {
			return false, true
		}
		if s.kind == "selfSubtree" && who.Key.Contains(base) {
			return true, true
		}
		return false, s.kind == "self" && who.Key != base && who.Key.Contains(base)
	}
	return s.fits(who, base), true
}
