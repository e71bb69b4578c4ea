package ldap

import (
	"strconv"
	"strings"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// MonitorDN is the top of what the server tells of itself, in the form of
// OpenLDAP's monitor. It is in no naming context and says nothing of anybody's
// values; access rules decide who reads it.
const MonitorDN = "cn=Monitor"

// monitorForms is how many forms of costly searches cn=Monitor shows.
const monitorForms = 20

// monitored gathers the entries below cn=Monitor as they are now.
type monitored struct {
	server  *Server
	now     time.Time
	entries []*directory.Entry
}

// monitored makes all entries, parents first.
func (s *Server) monitored() []*directory.Entry {
	m := &monitored{server: s, now: s.config.Now()}
	top := m.add("", "monitorServer", "Monitor")
	top.PutString("monitoredInfo", "Cardinal")
	m.connections()
	m.databases()
	m.operations()
	m.replica()
	m.statistics()
	m.threads()
	m.times()
	m.unindexed()
	for _, e := range m.entries {
		m.finish(e)
	}
	return m.entries
}

// add makes an entry below another; above is "" for the top.
func (m *monitored) add(above, class, name string) *directory.Entry {
	dn := "cn=" + name
	if above != "" {
		dn += "," + above
	}
	parsed, _ := directory.ParseDN(dn) // the names are ours
	e := &directory.Entry{DN: parsed}
	e.PutString("objectClass", class)
	e.PutString("structuralObjectClass", class)
	e.PutString("cn", name)
	e.PutString("entryDN", dn)
	e.PutString("subschemaSubentry", tree.SubschemaDN)
	m.entries = append(m.entries, e)
	return e
}

// finish adds what follows from time and place.
func (m *monitored) finish(e *directory.Entry) {
	e.PutString("createTimestamp", generalized(m.server.began))
	e.PutString("modifyTimestamp", generalized(m.now))
	below := "FALSE"
	for _, other := range m.entries {
		if len(other.DN) == len(e.DN)+1 && other.DN.Parent().String() == e.DN.String() {
			below = "TRUE"
			break
		}
	}
	e.PutString("hasSubordinates", below)
}

func generalized(t time.Time) string { return t.UTC().Format("20060102150405Z") }

// container adds an entry right below the top.
func (m *monitored) container(name, description string) (dn string) {
	e := m.add(MonitorDN, "monitorContainer", name)
	e.PutString("description", description)
	return "cn=" + name + "," + MonitorDN
}

func (m *monitored) counter(above, name string, n uint64) {
	number(m.add(above, "monitorCounterObject", name), "monitorCounter", n)
}

func number(e *directory.Entry, attribute string, n uint64) {
	e.PutString(attribute, strconv.FormatUint(n, 10))
}

func (m *monitored) info(above, name, text string) {
	m.add(above, "monitoredObject", name).PutString("monitoredInfo", text)
}

func (m *monitored) connections() {
	s, at := m.server, m.container("Connections", "Connections of clients.")
	m.counter(at, "Max", uint64(s.config.Limits.MaxConnections))
	m.counter(at, "Total", s.numbers.Load())
	m.counter(at, "Current", uint64(max(s.connections.Load(), 0)))
	m.counter(at, "TLS", uint64(max(s.secured.Load(), 0)))
}

func (m *monitored) databases() {
	s, at := m.server, m.container("Databases", "The trees this server answers for.")
	readOnly := strings.ToUpper(strconv.FormatBool(s.config.Writer == nil))
	for i := range s.suffixes {
		e := m.add(at, "monitoredObject", "Database "+strconv.Itoa(i+1))
		e.PutString("namingContexts", s.suffixes[i].text)
		e.PutString("readOnly", readOnly)
	}
}

// monitorNames are the names OpenLDAP's monitor gives the operations.
func monitorNames() [kinds]string {
	return [kinds]string{"Bind", "Unbind", "Search", "Compare", "Modify", "Modrdn", "Add", "Delete", "Abandon", "Extended"}
}

func (m *monitored) operations() {
	at := m.container("Operations", "Requests of clients. Times are those from a request read to its answer gathered.")
	top := m.entries[len(m.entries)-1]
	var begun, done, failed uint64
	for k, name := range monitorNames() {
		e := m.add(at, "monitorOperation", name)
		t, of := m.server.tally, kind(k)
		spans, b, f := t.spans(of), t.begun(of), t.failed(of)
		done, begun, failed = done+spans.Count, begun+b, failed+f
		number(e, "monitorOpInitiated", b)
		number(e, "monitorOpCompleted", spans.Count)
		number(e, "monitorOpFailed", f)
		if spans.Count > 0 {
			number(e, "monitorMicrosecondsMedian", uint64(spans.Quantile(0.5).Microseconds()))
			number(e, "monitorMicroseconds95", uint64(spans.Quantile(0.95).Microseconds()))
			number(e, "monitorMicroseconds99", uint64(spans.Quantile(0.99).Microseconds()))
		}
	}
	number(top, "monitorOpInitiated", begun)
	number(top, "monitorOpCompleted", done)
	number(top, "monitorOpFailed", failed)
}

func (m *monitored) replica() {
	state, at := m.server.config.Replica.State(), m.container("Replica", "The copy this server answers from. Its age is in milliseconds.")
	m.counter(at, "Position", uint64(state.Position))
	m.counter(at, "Epoch", uint64(state.Epoch))
	m.counter(at, "Age", uint64(max(state.Age, 0).Milliseconds()))
	m.info(at, "Loading", strings.ToUpper(strconv.FormatBool(state.Loading)))
	m.info(at, "Quarantine", strings.ToUpper(strconv.FormatBool(state.Quarantine)))
}

func (m *monitored) statistics() {
	s, at := m.server, m.container("Statistics", "What was sent and looked at.")
	answers := uint64(0)
	for k := range kinds {
		if k != kindUnbind && k != kindAbandon {
			spans := s.tally.spans(k)
			answers += spans.Count
		}
	}
	m.counter(at, "Bytes", s.sent())
	m.counter(at, "Received", s.received())
	m.counter(at, "PDU", s.entries()+answers)
	m.counter(at, "Entries", s.entries())
	m.counter(at, "Referrals", 0)
	m.counter(at, "Candidates", s.tested())
}

func (m *monitored) threads() {
	s, at := m.server, m.container("Threads", "Requests being worked on.")
	m.info(at, "Max", strconv.Itoa(s.config.Limits.MaxInFlight))
	m.info(at, "Active", strconv.FormatInt(max(s.inFlight.Load(), 0), 10))
}

func (m *monitored) times() {
	at := m.container("Time", "When the server began, and what time it is.")
	m.add(at, "monitoredObject", "Start").PutString("monitorTimestamp", generalized(m.server.began))
	m.add(at, "monitoredObject", "Current").PutString("monitorTimestamp", generalized(m.now))
	m.info(at, "Uptime", strconv.FormatInt(int64(m.now.Sub(m.server.began)/time.Second), 10))
}

func (m *monitored) unindexed() {
	s, at := m.server, m.container("Unindexed", "Searches that looked at many more entries than they returned, those that cost most first.")
	top := m.entries[len(m.entries)-1]
	number(top, "monitorCounter", s.costly.searches.Load())
	number(top, "monitorCandidates", s.costly.tested.Load())
	for i, f := range s.Costly(monitorForms) {
		e := m.add(at, "monitoredObject", strconv.Itoa(i+1))
		e.PutString("monitorFilter", f.Filter)
		e.PutString("monitoredInfo", strings.TrimSpace(f.Scope+" "+f.Suffix))
		number(e, "monitorCounter", f.Count)
		number(e, "monitorCandidates", f.Tested)
		if len(f.Index) > 0 {
			e.PutString("monitorIndex", f.Index...)
		}
	}
}
