package directory

import (
	"net/netip"
	"strconv"
	"strings"
)

func (p *ruleParser) who(list []string) {
	if len(list) == 0 {
		p.problem("who is missing")
	}
	for _, w := range list {
		p.rule.who = append(p.rule.who, p.subject(w))
	}
	p.rule.all = true
}

func (p *ruleParser) subject(text string) subject {
	kind, rest, found := strings.Cut(text, ":")
	rest = strings.TrimSpace(rest)
	x := subject{kind: kind}
	switch kind {
	case "anyone", "anonymous", "authenticated", "self", "selfSubtree":
		if found {
			p.problem("who %q takes no value", kind)
		}
	case "dn", "subtree", "group":
		if x.key = p.key(rest); x.key == "" {
			p.problem("who %q needs a name", kind)
		}
	case "name":
		if x.name = rest; x.name == "" {
			p.problem("who %q needs a name", kind)
		}
	case "filter":
		x.name = rest
		if x.query = p.query(rest); x.query == nil {
			p.problem("who %q needs a filter", kind)
		}
		p.of.filters[rest] = x.query
	default:
		p.problem("unknown who %q", text)
	}
	return x
}

// methodNames are the ways an identity can be shown.
var methodNames = []string{"simple", "EXTERNAL", "PLAIN", "SCRAM-SHA-256", "certificate", "proxied"}

func (p *ruleParser) by(list []string) {
	for _, name := range list {
		known := false
		for _, m := range methodNames {
			known = known || strings.EqualFold(m, name)
		}
		if !known {
			p.problem("unknown way %q of showing an identity: %s", name, strings.Join(methodNames, ", "))
		}
		p.rule.manner.by = append(p.rule.manner.by, strings.ToLower(name))
	}
}

func (p *ruleParser) from(list []string) {
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if one, bad := netip.ParseAddr(text); bad == nil {
			prefix, err = one.Prefix(one.BitLen())
		}
		if err != nil {
			p.problem("%q is neither an address nor a network", text)
			continue
		}
		if prefix != prefix.Masked() {
			p.problem("network %s: bits behind its length; it begins at %s", text, prefix.Masked())
		}
		p.rule.manner.from = append(p.rule.manner.from, prefix)
	}
}

func (p *ruleParser) strength(text string) {
	if text == "" {
		return
	}
	n, err := strconv.Atoi(text)
	if text == "tls" {
		n, err = 1, nil
	}
	if err != nil || n < 1 || n > 512 {
		p.problem("strength %q is neither tls nor a number of bits", text)
	}
	p.rule.manner.strength = n
}
