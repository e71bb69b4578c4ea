package ldap

import (
	"cardinal/directory"
	"cardinal/internal/ber"
)

// Object identifiers of controls, extended operations and features.
const (
	oidPaged       = "1.2.840.113556.1.4.319"    // RFC 2696
	oidManageDSAIT = "2.16.840.1.113730.3.4.2"   // RFC 3296
	oidSubentries  = "1.3.6.1.4.1.4203.1.10.1"   // RFC 3672
	oidAssertion   = "1.3.6.1.1.12"              // RFC 4528
	oidPreRead     = "1.3.6.1.1.13.1"            // RFC 4527
	oidPostRead    = "1.3.6.1.1.13.2"            // RFC 4527
	oidProxied     = "2.16.840.1.113730.3.4.18"  // RFC 4370
	oidPermissive  = "1.2.840.113556.1.4.1413"   // the wording is Microsoft's: no RFC
	oidTreeDelete  = "1.2.840.113556.1.4.805"    // draft-armijo-ldap-treedelete
	oidRelax       = "1.3.6.1.4.1.4203.666.5.12" // draft-zeilenga-ldap-relax
	oidTransaction = "1.3.6.1.1.21.2"            // RFC 5805
	oidDomainScope = "1.2.840.113556.1.4.1339"   // no references to elsewhere
	oidSort        = "1.2.840.113556.1.4.473"    // RFC 2891
	oidSorted      = "1.2.840.113556.1.4.474"
	oidView        = "2.16.840.1.113730.3.4.9" // draft-ietf-ldapext-ldapv3-vlv-09
	oidViewed      = "2.16.840.1.113730.3.4.10"
	oidMatched     = "1.2.826.0.1.3344810.2.3" // RFC 3876
	oidOriginal    = "1.3.6.1.1.22"            // RFC 6171

	oidDisconnection  = "1.3.6.1.4.1.1466.20036"  // RFC 4511 §4.4.1
	oidStartTLS       = "1.3.6.1.4.1.1466.20037"  // RFC 4511 §4.14
	oidPasswordModify = "1.3.6.1.4.1.4203.1.11.1" // RFC 3062
	oidWhoAmI         = "1.3.6.1.4.1.4203.1.11.3" // RFC 4532
	oidCancel         = "1.3.6.1.1.8"             // RFC 3909

	oidStartTransaction   = "1.3.6.1.1.21.1" // RFC 5805
	oidEndTransaction     = "1.3.6.1.1.21.3"
	oidAbortedTransaction = "1.3.6.1.1.21.4"

	oidAllOperational = "1.3.6.1.4.1.4203.1.5.1" // RFC 3673
	oidClassLists     = "1.3.6.1.4.1.4203.1.5.2" // RFC 4529
	oidTrueFalse      = "1.3.6.1.4.1.4203.1.5.3" // RFC 4526
	oidLanguageTags   = "1.3.6.1.4.1.4203.1.5.4" // RFC 3866
	oidLanguageRanges = "1.3.6.1.4.1.4203.1.5.5" // RFC 3866
	oidIncrement      = "1.3.6.1.1.14"           // RFC 4525
)

func supportedControls() []string {
	return []string{oidPaged, oidSort, oidView, oidMatched, oidOriginal, oidManageDSAIT, oidSubentries, oidAssertion, oidPreRead, oidPostRead, oidProxied, oidDomainScope, oidActiveRoles,
		oidSyncRequest, oidPersistent, oidPasswordPolicy}
}

// updateControls are those of updates, which a node that takes none does not
// have.
func updateControls() []string {
	return []string{oidPermissive, oidTreeDelete, oidRelax, oidTransaction}
}

func supportedFeatures() []string {
	return []string{oidIncrement, oidAllOperational, oidClassLists, oidTrueFalse, oidLanguageTags, oidLanguageRanges}
}

// controls are those of one request that this server acts on.
type controls struct {
	paged      *paging
	sorting    *sorting
	view       *view
	matched    *valuesFilter
	subentries subentries
	manage     bool // ManageDsaIT (RFC 3296): referrals are entries like others
	original   bool // not from a copy (RFC 6171)
	alone      bool // domain scope: no references to elsewhere
	active     bool // only roles that are active are wanted
	assertion  *directory.Filter
	preRead    [][]byte // attribute lists; nil: not asked
	postRead   [][]byte
	sync       *syncRequest
	persist    *persistentSearch
	permissive bool // values that make no difference are passed over
	treeDelete bool // everything below goes too
	relax      bool // what users may not modify may be written
	// transaction the request is a part of; nil: none.
	transaction []byte
	// authorization is whose rights the request is to have; nil: its own.
	authorization *authorization
	policy        bool // the password policy control's response is wanted
}

// paging is the request of RFC 2696.
type paging struct {
	size   int
	cookie []byte
}

// parseControls reads the controls of a request (RFC 4511 §4.1.11). A
// critical one that is unknown, or means nothing for the operation, is
// refused before anything is done; one that is not critical is passed over.
func parseControls(m *message) (out controls, err error) {
	if m.controls == nil {
		return out, nil
	}
	r := ber.NewReader(m.controls)
	for n := 0; !r.Empty(); n++ {
		if n >= maxControls {
			return out, protocolError("too many controls")
		}
		seq, err := r.Enter(ber.Sequence)
		if err != nil {
			return out, err
		}
		oid, err := seq.Expect(ber.OctetString)
		if err != nil {
			return out, err
		}
		critical := false
		if seq.Peek() == ber.Boolean {
			if critical, err = seq.Bool(ber.Boolean); err != nil {
				return out, err
			}
		}
		value, _, err := seq.Optional(ber.OctetString)
		if err != nil {
			return out, err
		}
		if err := out.take(m.op, string(oid), value, critical); err != nil {
			return out, err
		}
	}
	return out, nil
}

func protocolError(message string) error {
	return &directory.Error{Code: directory.ProtocolError, Message: message}
}

// take adds one control.
func (c *controls) take(op ber.Tag, oid string, value []byte, critical bool) error {
	known, err := false, error(nil)
	switch op {
	case searchRequest:
		known, err = c.takeSearch(oid, value, critical)
	case addRequest, modifyRequest, delRequest, modDNRequest:
		known, err = c.takeUpdate(op, oid, value)
	}
	if known || err != nil {
		return err
	}
	update := op == addRequest || op == modifyRequest || op == delRequest || op == modDNRequest
	asks := op == searchRequest || op == compareRequest
	switch {
	case oid == oidManageDSAIT:
		c.manage = true
		return nil
	case oid == oidOriginal && asks:
		return c.takeOriginal(value)
	case oid == oidProxied && (asks || update || op == extendedRequest):
		return c.takeProxied(value, critical)
	case oid == oidPasswordPolicy:
		return c.takePolicy(value)
	case oid == oidAssertion && (asks || update):
		if c.assertion != nil {
			return protocolError("the assertion control stands twice")
		}
		c.assertion, err = parseFilter(value)
		return err
	case oid == oidTransaction && (update || op == extendedRequest):
		return c.takeTransaction(value, critical)
	case critical && op != unbindRequest && op != abandonRequest:
		return &directory.Error{Code: directory.UnavailableCriticalExtension, Message: "critical control " + oid + " is not available here"}
	}
	return nil
}

// takeSearch adds a control that means something for searches alone.
func (c *controls) takeSearch(oid string, value []byte, critical bool) (known bool, err error) {
	switch oid {
	case oidDomainScope:
		c.alone = true
		return true, nil
	case oidSort:
		return true, c.takeSort(value, critical)
	case oidView:
		return true, c.takeView(value)
	case oidMatched:
		return true, c.takeMatched(value)
	case oidSyncRequest, oidPersistent:
		return true, c.takeFollowing(oid, value)
	case oidPaged:
		if c.paged != nil {
			return true, protocolError("the paged results control stands twice")
		}
		return true, c.takePaged(value)
	case oidSubentries:
		return true, c.takeSubentries(value)
	case oidActiveRoles:
		if value != nil {
			return true, protocolError("the active roles control has no value")
		}
		c.active = true
		return true, nil
	}
	return false, nil
}

// takeUpdate adds a control that means something for updates alone.
func (c *controls) takeUpdate(op ber.Tag, oid string, value []byte) (known bool, err error) {
	switch {
	case oid == oidPreRead && op != addRequest:
		return true, takeRead(&c.preRead, value)
	case oid == oidPostRead && op != delRequest:
		return true, takeRead(&c.postRead, value)
	case oid == oidPermissive && op == modifyRequest:
		return true, takeFlag(&c.permissive, "permissive modify", value)
	case oid == oidTreeDelete && op == delRequest:
		return true, takeFlag(&c.treeDelete, "tree delete", value)
	case oid == oidRelax:
		return true, takeFlag(&c.relax, "relax", value)
	}
	return false, nil
}

// takeFlag reads a control without a value.
func takeFlag(into *bool, name string, value []byte) error {
	switch {
	case *into:
		return protocolError("the " + name + " control stands twice")
	case value != nil:
		return protocolError("the " + name + " control has no value")
	}
	*into = true
	return nil
}

func (c *controls) takeTransaction(value []byte, critical bool) error {
	switch {
	case c.transaction != nil:
		return protocolError("the transaction control stands twice")
	case !critical:
		return protocolError("the transaction control must be critical")
	case value == nil:
		return protocolError("the transaction control has no value")
	}
	c.transaction = value
	return nil
}

func (c *controls) takePaged(value []byte) error {
	r := ber.NewReader(value)
	seq, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	size, err := seq.Int(ber.Integer)
	if err != nil {
		return err
	}
	cookie, err := seq.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	if size < 0 || size > 1<<31-1 {
		return protocolError("paged results: a size below zero")
	}
	c.paged = &paging{size: int(size), cookie: cookie}
	return nil
}

func takeRead(into *[][]byte, value []byte) error {
	if *into != nil {
		return protocolError("a read entry control stands twice")
	}
	r := ber.NewReader(value)
	list, err := parseAttributeList(&r)
	*into = append([][]byte{}, list...)
	return err
}

// appendControl appends one control of a response.
func appendControl(b []byte, oid string, value []byte) []byte {
	b, mark := ber.Begin(b, ber.Sequence)
	b = ber.AppendString(b, ber.OctetString, oid)
	b = ber.Append(b, ber.OctetString, value)
	return ber.End(b, mark)
}
