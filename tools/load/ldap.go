package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cardinal/internal/ber"
	"cardinal/tools/internal/workforce"
)

// ldapLoad asks the directory about the people of a workforce, or changes what
// may be changed.
type ldapLoad struct {
	load
	target
	people   workforce.Options
	services int
	rate     float64 // operations a second at fixed times; 0: as soon as answered
	world    *world
}

// operation is one kind of work on a connection.
type operation struct {
	name, short string
	do          func(w *ldapWorker, n int) error
	asks        func(w *ldapWorker, n int) []question // the searches it is, when it is nothing else
}

func operations() []operation {
	return []operation{
		{"login", "Search a person by number, the roles below a position, read the organisation", (*ldapWorker).login, (*ldapWorker).loginSteps},
		{"search", "Search a person by number", (*ldapWorker).search, (*ldapWorker).searchSteps},
		{"base", "Read an organisation", (*ldapWorker).base, (*ldapWorker).baseSteps},
		{"prefix", "Search people by the beginning of their number, 20 entries", (*ldapWorker).prefix, nil},
		{"bind", "Connect, bind, unbind", nil, nil},
		{"modify", "Change an entry, durably", (*ldapWorker).modify, nil},
		{"mixed", "98 logins, 2 changes", (*ldapWorker).mixed, nil},
	}
}

func findOperation(name string) (operation, bool) {
	for _, o := range operations() {
		if o.name == name {
			return o, true
		}
	}
	return operation{}, false
}

func ldapCommands(out io.Writer) (all []*cobra.Command) {
	for _, o := range operations() {
		l := &ldapLoad{}
		c := &cobra.Command{Use: o.name, Short: o.short, Args: cobra.NoArgs,
			Example: "  load " + o.name + " --url ldaps://127.0.0.1:1636 --trust trust.pem --connections 16 --seconds 10 --pid 4711",
			RunE: func(cmd *cobra.Command, _ []string) error {
				if err := l.prepare(); err != nil {
					return err
				}
				r, err := l.run(cmd.Context(), o)
				return l.finish(out, r, err)
			}}
		l.load.flags(c)
		l.target.flags(c)
		l.dataFlags(c)
		c.Flags().Float64Var(&l.rate, "rate", 0, "operations a second, at fixed times; 0: each connection asks as soon as it is answered")
		all = append(all, c)
	}
	return all
}

func (l *ldapLoad) dataFlags(c *cobra.Command) {
	workforceFlags(c, &l.people)
	c.Flags().IntVar(&l.services, "services", 1000, "entries there are to modify")
}

func (l *ldapLoad) prepare() (err error) {
	if l.world, err = newWorld(l.people); err != nil {
		return err
	}
	return l.resolve(l.people.Suffix)
}

func (l *ldapLoad) run(ctx context.Context, o operation) (report, error) {
	if l.rate == 0 {
		return l.measure(ctx, o.name, l.opener(ctx, o))
	}
	c, err := l.assemble(l.opener(ctx, o))
	if err != nil {
		return report{}, err
	}
	defer c.Close()
	atPace := c.steady
	if l.inPaces(o) {
		atPace = c.paced
	}
	done, err := atPace(ctx, l.length(), l.rate)
	if err != nil {
		return report{}, err
	}
	return done.report(o.name, l.connections)
}

// inPaces says whether an operation can be asked by a pacer.
func (l *ldapLoad) inPaces(o operation) bool {
	return l.rate > 0 && o.asks != nil && l.target.tls == nil
}

// opener opens workers that do one kind of operation.
func (l *ldapLoad) opener(ctx context.Context, o operation) func(i int) (worker, error) {
	return func(i int) (worker, error) {
		if o.do == nil {
			return &bindWorker{l: l, i: i}, nil
		}
		wire, err := l.target.login(ctx, i)
		if err != nil {
			return nil, err
		}
		w := &ldapWorker{wire: wire, l: l, i: i, do: o.do}
		if l.inPaces(o) {
			return &ldapDialogue{ldapWorker: w, asks: o.asks}, nil
		}
		return w, nil
	}
}

// bindWorker opens a connection for each operation.
type bindWorker struct {
	l *ldapLoad
	i int
}

func (w *bindWorker) Close() error { return nil }

func (w *bindWorker) operate(ctx context.Context, _ int) error {
	wire, err := w.l.target.login(ctx, w.i)
	if err != nil {
		return err
	}
	return wire.unbind()
}

// ldapWorker is one connection.
type ldapWorker struct {
	*wire
	l    *ldapLoad
	i    int
	do   func(w *ldapWorker, n int) error
	last string // what it wrote last
}

func (w *ldapWorker) operate(_ context.Context, n int) error { return w.do(w, n) }

func (w *ldapWorker) human(n int) *human { return &w.l.world.people[scatter(n)%len(w.l.world.people)] }

// all asks the questions of an operation and waits for each answer.
func (w *ldapWorker) all(questions []question) error {
	for _, q := range questions {
		if err := w.settle(q); err != nil {
			return err
		}
	}
	return nil
}

func (w *ldapWorker) login(n int) error  { return w.all(w.loginSteps(n)) }
func (w *ldapWorker) search(n int) error { return w.all(w.searchSteps(n)) }
func (w *ldapWorker) base(n int) error   { return w.all(w.baseSteps(n)) }

func (w *ldapWorker) searchSteps(n int) []question { return []question{w.person(w.human(n))} }

func (w *ldapWorker) baseSteps(n int) []question {
	return []question{organisation(&w.l.world.places[scatter(n)%len(w.l.world.places)])}
}

func (w *ldapWorker) loginSteps(n int) []question {
	h := w.human(n)
	position := "uniqueIdentifier=" + h.position + "," + h.dn(w.l.world.suffix)
	roles := question{searchRequest{base: position, scope: scopeOneLevel, class: "nhsOrgPersonRole"}, func(entries [][]byte) error {
		values := 0
		for _, e := range entries {
			_, n, err := readEntry(e)
			if err != nil {
				return err
			}
			values += n
		}
		if len(entries) != h.roles || values != h.roleValues {
			return wrong("%s has %d roles with %d values, want %d with %d", position, len(entries), values, h.roles, h.roleValues)
		}
		return nil
	}}
	return []question{w.person(h), roles, organisation(&w.l.world.places[h.place])}
}

// prefix finds everybody whose number begins the same.
func (w *ldapWorker) prefix(n int) error {
	world := w.l.world
	prefix := world.prefixes[scatter(n)%len(world.prefixes)]
	entries, err := w.wire.search(searchRequest{base: "ou=People," + world.suffix, scope: scopeSubtree, attribute: "uid", value: prefix, initial: true, class: "nhsPerson"})
	if err != nil {
		return err
	}
	if len(entries) != world.found {
		return wrong("a search for %s* gave %d entries, want %d", prefix, len(entries), world.found)
	}
	for _, e := range entries {
		dn, _, err := readEntry(e)
		if err != nil {
			return err
		}
		if head := "uid=" + prefix; len(dn) < len(head) || string(dn[:len(head)]) != head {
			return wrong("a search for %s* gave %s", prefix, dn)
		}
	}
	return nil
}

// modify writes what was not there before. Each connection has an entry of its
// own, as far as there are enough.
func (w *ldapWorker) modify(n int) error {
	value := fmt.Sprintf("written by operation %d of connection %d", n%stride, w.i)
	if err := w.replace(changedDN(w.l.world.suffix, w.i%w.l.services), "description", value); err != nil {
		return err
	}
	w.last = value
	return nil
}

// mixed is a login, except for one change in fifty operations; the workers
// change at different times.
func (w *ldapWorker) mixed(n int) error {
	if (n+7*w.i)%50 == 0 {
		return w.modify(n)
	}
	return w.login(n)
}

// check reads back what was written last.
func (w *ldapWorker) check() error {
	if w.last == "" || w.l.connections > w.l.services {
		return nil
	}
	dn := changedDN(w.l.world.suffix, w.i%w.l.services)
	entries, err := w.wire.search(searchRequest{base: dn, scope: scopeBase, class: "device", attribute: "description", value: w.last})
	if err == nil && len(entries) != 1 {
		err = wrong("%s has not got %q, which was acknowledged", dn, w.last)
	}
	return err
}

// person searches all people for a number and expects exactly that person.
func (w *ldapWorker) person(h *human) question {
	suffix := w.l.world.suffix
	return question{searchRequest{base: "ou=People," + suffix, scope: scopeSubtree, attribute: "uid", value: h.uid, class: "nhsPerson"},
		func(entries [][]byte) error { return expectOne(entries, h.dn(suffix), h.values) }}
}

func (w *ldapWorker) find(h *human) error { return w.settle(w.person(h)) }

// organisation reads an organisation.
func organisation(p *place) question {
	return question{searchRequest{base: p.dn, scope: scopeBase}, func(entries [][]byte) error { return expectOne(entries, p.dn, p.values) }}
}

func expectOne(entries [][]byte, dn string, values int) error {
	if len(entries) != 1 {
		return wrong("%d entries for %s, want one", len(entries), dn)
	}
	got, n, err := readEntry(entries[0])
	if err != nil {
		return err
	}
	if string(got) != dn || n != values {
		return wrong("got %s with %d values, want %s with %d", got, n, dn, values)
	}
	return nil
}

// readEntry reads a SearchResultEntry (RFC 4511 §4.5.2): its name, and how many
// values it shows.
func readEntry(body []byte) (dn []byte, values int, err error) {
	r := ber.NewReader(body)
	if dn, err = r.Expect(ber.OctetString); err != nil {
		return nil, 0, err
	}
	list, err := r.Enter(tagSequence)
	for err == nil && !list.Empty() {
		n := 0
		n, err = readAttribute(&list)
		values += n
	}
	return dn, values, err
}

func readAttribute(list *ber.Reader) (values int, err error) {
	a, err := list.Enter(tagSequence)
	if err != nil {
		return 0, err
	}
	if _, err := a.Expect(ber.OctetString); err != nil {
		return 0, err
	}
	set, err := a.Enter(tagSet)
	for ; err == nil && !set.Empty(); values++ {
		_, err = set.Expect(ber.OctetString)
	}
	return values, err
}

// scatter walks the people in no order a cache could follow.
func scatter(n int) int {
	h := uint64(n+1) * 0x9E3779B97F4A7C15
	return int((h ^ h>>29) >> 2)
}
