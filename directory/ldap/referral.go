package ldap

import (
	"errors"
	"net/url"
	"strings"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// away is where a name is held when it lies at or below an entry that refers
// elsewhere (RFC 3296 §5), for those who may read that. Under ManageDsaIT the
// referral itself is an entry like others; what lies below it is not here even
// then. scope is that of a search, as URIs have it; "" for other operations.
func (c asker) away(key directory.Key, dn directory.DN, manage bool, scope string) (r result, away bool, err error) {
	at, err := c.server.config.Tree.Referral(key, manage)
	if err != nil || at == "" {
		return r, false, err
	}
	return c.referral(at, dn, scope)
}

// referral is the answer that sends a client on from one entry.
func (c asker) referral(at directory.Key, dn directory.DN, scope string) (r result, seen bool, err error) {
	ref, _ := c.server.schema.Describe("ref")
	dn = c.server.spelled(dn)
	err = c.visible(at, func(e *tree.Entry, grant *directory.Access) error {
		if !grant.Allows(ref.Type, directory.RightRead) {
			return errHidden
		}
		name, err := nameOf(e)
		if err != nil {
			return err
		}
		r = result{code: directory.Referral, matched: name.String()}
		t := target{below: dn[:max(0, len(dn)-len(name))], whole: dn, scope: scope}
		e.EachOf(ref, func(v []byte) bool {
			if uri := t.uri(string(v)); uri != "" {
				r.referral = append(r.referral, uri)
			}
			return true
		})
		return nil
	})
	var hidden *tree.NoSuchBase
	if errors.As(err, &hidden) {
		return result{}, false, nil
	}
	return r, err == nil && len(r.referral) > 0, err
}

// spelled gives a name with its types as the schema spells them.
func (s *Server) spelled(dn directory.DN) directory.DN {
	out := make(directory.DN, len(dn))
	for i, rdn := range dn {
		for _, ava := range rdn {
			if t := s.schema.Attribute(ava.Type); t != nil {
				ava.Type = t.Name()
			}
			out[i] = append(out[i], ava)
		}
	}
	return out
}

func nameOf(e *tree.Entry) (directory.DN, error) {
	text, err := e.AppendDN(nil)
	if err != nil {
		return nil, err
	}
	return directory.ParseDN(string(text))
}

// target is a name at or below a referral, and the part of it that is below.
type target struct {
	below, whole directory.DN
	scope        string // of URIs that have none
}

// uri turns a value of ref, a URI and perhaps a label, into the URI for the
// target: a DN in the URI takes the place of the referral. URIs of other
// protocols stay as they are. What cannot be read gives "".
func (t target) uri(value string) string {
	uri, _, _ := strings.Cut(value, " ")
	scheme, rest, found := strings.Cut(uri, "://")
	if !found {
		return ""
	}
	switch strings.ToLower(scheme) {
	case "ldap", "ldaps", "ldapi":
	default:
		return uri
	}
	host, path, _ := strings.Cut(rest, "/")
	parts := strings.SplitN(path, "?", 4) // DN, attributes, scope, filter and extensions
	scope := t.scope
	if len(parts) > 2 && parts[2] != "" {
		scope = parts[2]
	}
	text, err := url.PathUnescape(parts[0])
	if err != nil {
		return ""
	}
	full := t.whole
	if text != "" {
		at, err := directory.ParseDN(text)
		if err != nil {
			return ""
		}
		full = append(append(directory.DN{}, t.below...), at...)
	}
	out := scheme + "://" + host + "/" + escapeURI(full.String())
	if scope != "" {
		out += "??" + scope
	}
	return out
}

// escapeURI escapes what may not stand in the DN of an LDAP URI (RFC 4516 §2.1).
func escapeURI(dn string) string {
	var b strings.Builder
	for i := range len(dn) {
		c := dn[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String()
}

// scopeNames are the scopes as URIs have them (RFC 4516 §2).
var scopeNames = [...]string{tree.ScopeBase: "base", tree.ScopeOneLevel: "one", tree.ScopeSubtree: "sub", tree.ScopeSubordinate: "subordinate"}

// referred answers a search whose base is held elsewhere.
func (q *searching) referred(at directory.Key) result {
	dn, err := directory.ParseDN(string(q.baseDN))
	if err != nil {
		return q.conn.resultOf(badDN(err))
	}
	r, seen, err := q.conn.referral(at, dn, scopeNames[q.scope])
	switch {
	case err != nil:
		return q.conn.resultOf(err)
	case !seen:
		return q.conn.hideMatched(q.base, result{code: directory.NoSuchObject})
	}
	return r
}

// references appends a SearchResultReference (RFC 4511 §4.5.3) for each entry
// in the scope that refers elsewhere, whether the filter fits it or not: what
// is held there may fit.
func (q *searching) references(out []byte) ([]byte, error) {
	if !q.scan.Refers() || q.controls.manage || q.controls.alone || q.scope == tree.ScopeBase || q.stop != stopNot ||
		q.controls.view != nil || q.controls.subentries == subentriesAlone {
		return out, nil
	}
	return q.refer(out)
}

func (q *searching) refer(out []byte) ([]byte, error) {
	ref, ok := q.conn.server.schema.Describe("ref")
	if !ok {
		return out, nil
	}
	scope := "sub"
	if q.scope == tree.ScopeOneLevel {
		scope = "base"
	}
	err := q.scan.References(func(e *tree.Entry) {
		grant := q.sight.at(e)
		if !grant.Allows(nil, directory.RightRead) || !grant.Allows(ref.Type, directory.RightRead) {
			return
		}
		out = q.appendReference(out, e, scope)
	})
	return out, err
}

func (q *searching) appendReference(out []byte, e *tree.Entry, scope string) []byte {
	ref, _ := q.conn.server.schema.Describe("ref")
	name, err := nameOf(e)
	if err != nil {
		return out
	}
	b, message := ber.Begin(out, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, q.id)
	b, body := ber.Begin(b, searchResultReference)
	some, t := false, target{whole: name, scope: scope}
	e.EachOf(ref, func(v []byte) bool {
		if uri := t.uri(string(v)); uri != "" {
			b = ber.AppendString(b, ber.OctetString, uri)
			some = true
		}
		return true
	})
	if !some {
		return out
	}
	return ber.End(ber.End(b, body), message)
}
