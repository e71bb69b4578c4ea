package tree

import (
	"encoding/binary"
	"maps"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// A token is all values of one attribute as very many entries of a load have
// them: what stands for it in a record, and the sets of the index it belongs to.
type token struct {
	encoded  []byte // attribute number, length and values
	postings []*posting
}

// posting gathers, during a load, the set of an index key that very many
// entries have: full slices of 65,536 numbers are encoded at once.
type posting struct {
	chunks []postedChunk
	upper  uint16
	open   []uint16
	block  []uint32 // of the block in hand, several tokens' one behind another
}

type postedChunk struct {
	upper uint16
	set   chunk
}

// take moves the numbers of a block, all above those before it, into the set.
func (p *posting) take() {
	slices.Sort(p.block)
	for _, id := range p.block {
		if upper := uint16(id >> 16); upper != p.upper {
			p.flush()
			p.upper = upper
		}
		if n := len(p.open); n == 0 || p.open[n-1] != uint16(id) {
			p.open = append(p.open, uint16(id))
		}
	}
	p.block = p.block[:0]
}

func (p *posting) flush() {
	if len(p.open) > 0 {
		p.chunks = append(p.chunks, postedChunk{p.upper, encodeChunk(p.open)})
		p.open = p.open[:0]
	}
}

// maxTokens bounds the memory for tokens; values beyond stand in the records
// and are sorted like others.
const maxTokens = 100_000

// tokens are all of a load. They are asked in turns.
type tokens struct {
	build    *build
	known    map[string]*token // by attribute number and raw values
	postings map[string]*posting
	key      []byte
}

// of gives the token of an attribute's values, nil if there are too many.
func (s *tokens) of(code uint16, raw []byte) *token {
	s.key = append(binary.BigEndian.AppendUint16(s.key[:0], code), raw...)
	if t, ok := s.known[string(s.key)]; ok {
		return t
	}
	if len(s.known) >= maxTokens {
		return nil
	}
	t := s.make(code, raw)
	s.known[string(s.key)] = t
	return t
}

func (s *tokens) make(code uint16, raw []byte) *token {
	c := s.build.catalog
	typ := c.now.names[code].description.Type
	var values [][]byte
	for v := directory.NewRawValues(raw); v.Left > 0; {
		value, ok := v.Next()
		if !ok {
			break
		}
		values = append(values, value)
	}
	var body []byte
	if typ != nil && s.build.tree.repeated[typ] {
		body = s.words(typ, values)
	} else {
		for _, v := range values {
			body = appendPlainValue(body, v)
		}
	}
	t := &token{encoded: binary.AppendUvarint(nil, uint64(code))}
	t.encoded = append(binary.AppendUvarint(t.encoded, uint64(len(body))), body...)
	if !s.build.tree.indexed[typ] {
		return t
	}
	attr := s.build.indexCode(typ)
	for _, v := range values {
		form, err := typ.Equality.Normalize(v)
		if err != nil {
			continue
		}
		key := string(appendIndexValue(nil, attr, form))
		p := s.postings[key]
		if p == nil {
			p = &posting{}
			s.postings[key] = p
		}
		if !slices.Contains(t.postings, p) {
			t.postings = append(t.postings, p)
		}
	}
	return t
}

// words encodes values by the dictionary, as recordWriter.values does.
func (s *tokens) words(typ *directory.AttributeType, values [][]byte) []byte {
	var body, encoded []byte
	if typ.Name() == "objectClass" {
		for _, v := range values {
			encoded = ber.Append(encoded, ber.OctetString, v)
		}
		if id, ok := s.word(encoded); ok {
			return binary.AppendUvarint(nil, uint64(id)<<formBits|formWord)
		}
	}
	for _, v := range values {
		if id, ok := s.word(ber.Append(encoded[:0], ber.OctetString, v)); ok {
			body = binary.AppendUvarint(body, uint64(id)<<formBits|formWord)
		} else {
			body = appendPlainValue(body, v)
		}
	}
	return body
}

func (s *tokens) word(encoded []byte) (uint32, bool) {
	c := s.build.catalog
	if id, ok := c.word[string(encoded)]; ok {
		return id, true
	}
	if len(c.now.words) >= maxWords || len(encoded) > maxWord {
		return 0, false
	}
	return c.addWord(string(encoded)), true
}

// sorted gives the keys that have postings, in order, with every set encoded.
func (s *tokens) sorted() []string {
	for _, p := range s.postings {
		p.flush()
	}
	return slices.Sorted(maps.Keys(s.postings))
}

// standing is an attribute every entry of a load has unless it brings its own.
type standing struct {
	name  string
	token *token
}

// stand makes the tokens of a load's defaults.
func (g *build) stand(defaults []directory.Attribute) {
	for _, d := range defaults {
		code := g.code(d.Type)
		raw := binary.AppendUvarint(nil, uint64(len(d.Values)))
		for _, v := range d.Values {
			raw = append(binary.AppendUvarint(raw, uint64(len(v))), v...)
		}
		g.defaults = append(g.defaults, standing{d.Type, g.tokens.make(code, raw)})
	}
}

// code gives the number of a canonical description.
func (g *build) code(text string) uint16 {
	if code, ok := g.catalog.code[text]; ok {
		return code
	}
	if len(g.catalog.now.names) >= 1<<16-1 {
		g.crowded = true
		return 0
	}
	return g.catalog.addName(text)
}

// indexCode gives the number under which the values of a type are indexed.
func (g *build) indexCode(typ *directory.AttributeType) uint16 {
	return g.code(directory.Description{Type: typ}.String())
}
