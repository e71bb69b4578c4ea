package ldap

import (
	"strings"
	"sync"
	"sync/atomic"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// selection is what an attribute list asks for (RFC 4511 §4.5.1.8, RFC 3673,
// RFC 4529). It does not change once made and is shared between searches.
type selection struct {
	user        bool // *, or no list at all
	operational bool // +
	wanted      []directory.Description
	computed    []directory.Description
	known       atomic.Pointer[chosen]
	shown       atomic.Pointer[shown]
}

// chosen answers the selection by attribute number, for one set of numbers.
type chosen struct {
	of   *tree.Names
	want []bool
}

// parseAttributeList reads an AttributeSelection.
func parseAttributeList(r *ber.Reader) ([][]byte, error) {
	list, err := r.Enter(ber.Sequence)
	if err != nil {
		return nil, err
	}
	return readStrings(&list)
}

func readStrings(list *ber.Reader) (out [][]byte, err error) {
	for !list.Empty() {
		if len(out) >= maxAttributes {
			return nil, protocolError("too many attributes")
		}
		v, err := list.Expect(ber.OctetString)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// newSelection resolves an attribute list. What is unknown selects nothing.
func newSelection(t *tree.Tree, list [][]byte) *selection {
	s := &selection{user: len(list) == 0}
	for _, item := range list {
		switch text := string(item); {
		case text == "*":
			s.user = true
		case text == "+":
			s.operational = true
		case strings.HasPrefix(text, "@"):
			s.addClass(t.Schema(), text[1:])
		default:
			s.add(t, text)
		}
	}
	if s.operational {
		s.computed = t.Computed()
	}
	return s
}

func (s *selection) add(t *tree.Tree, text string) {
	d, ok := t.Schema().Describe(text)
	if !ok || wantsBinary(text) && !d.Type.Binary() {
		return
	}
	s.wanted = append(s.wanted, d)
	if t.IsComputed(d) && !s.operational {
		s.computed = append(s.computed, d)
	}
}

// wantsBinary reports whether a description asks for the binary transfer of a
// type, which most types do not have (RFC 4522 §3).
func wantsBinary(description string) bool {
	for o := range directory.Options(description) {
		if strings.EqualFold(o, "binary") {
			return true
		}
	}
	return false
}

func (s *selection) addClass(schema *directory.Schema, name string) {
	class := schema.Class(name)
	if class == nil {
		return
	}
	for _, t := range class.AllMust {
		s.wanted = append(s.wanted, directory.Description{Type: t})
	}
	for _, t := range class.AllMay {
		s.wanted = append(s.wanted, directory.Description{Type: t})
	}
	if class.Name() == "extensibleObject" {
		s.user = true
	}
}

// wants decides for one description.
func (s *selection) wants(d directory.Description, operational bool) bool {
	if s.user && !operational || s.operational && operational {
		return true
	}
	if d.Type == nil {
		return false
	}
	for _, w := range s.wanted {
		if w.Covers(d) {
			return true
		}
	}
	return false
}

// numbers decides for all attribute numbers in use at once.
func (s *selection) numbers(names *tree.Names) []bool {
	if c := s.known.Load(); c != nil && c.of == names {
		return c.want
	}
	c := &chosen{of: names, want: make([]bool, names.Len())}
	for i := range c.want {
		d, operational := names.At(i)
		c.want[i] = s.wants(d, operational)
	}
	s.known.Store(c)
	return c.want
}

// shapes remembers selections by the bytes of their lists: relying systems
// ask the same few questions all day.
type shapes struct {
	mu    sync.RWMutex
	known map[string]*selection
}

const (
	maxShapes     = 512
	maxShapeBytes = 2048
)

// of returns the selection of an encoded AttributeSelection.
func (s *shapes) of(t *tree.Tree, list []byte) (*selection, error) {
	s.mu.RLock()
	known := s.known[string(list)]
	s.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	r := ber.NewReader(list)
	items, err := readStrings(&r)
	if err != nil {
		return nil, err
	}
	made := newSelection(t, items)
	if len(list) > maxShapeBytes {
		return made, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxShapes {
		s.known = map[string]*selection{}
	}
	s.known[string(list)] = made
	return made, nil
}
