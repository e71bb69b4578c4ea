package ldap

import (
	"crypto/hmac"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// view is the request of a virtual list view and what became of it
// (draft-ietf-ldapext-ldapv3-vlv-09): a window on a sorted list, around the
// entry at an offset or the first that is not less than a value.
type view struct {
	before, after int
	offset, of    int    // of counts the list as the client knows it
	value         []byte // in place of them, unless nil
	context       []byte // nil: none

	code   directory.Code
	target int
	count  int
}

// Result codes of virtual list views; the first is that of the search, the
// others those of the control.
const (
	virtualListViewError directory.Code = 76
	sortControlMissing   directory.Code = 60
	offsetRangeError     directory.Code = 61
)

func (c *controls) takeView(value []byte) error {
	if c.view != nil {
		return protocolError("the virtual list view control stands twice")
	}
	c.view = &view{}
	return c.view.read(value)
}

// read reads a VirtualListViewRequest.
func (v *view) read(value []byte) error {
	top := ber.NewReader(value)
	r, err := top.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	if v.before, err = readCount(&r); err != nil {
		return err
	}
	if v.after, err = readCount(&r); err != nil {
		return err
	}
	switch r.Peek() {
	case ber.Context | ber.Constructed:
		by, err := r.Enter(ber.Context | ber.Constructed)
		if err != nil {
			return err
		}
		if v.offset, err = readCount(&by); err != nil {
			return err
		}
		if v.of, err = readCount(&by); err != nil {
			return err
		}
	case ber.Context | 1:
		if v.value, err = r.Expect(ber.Context | 1); err != nil {
			return err
		}
		v.value = append([]byte{}, v.value...)
	default:
		return protocolError("virtual list view: neither an offset nor a value")
	}
	if !r.Empty() {
		v.context, err = r.Expect(ber.OctetString)
	}
	return err
}

// readCount reads an INTEGER (0..maxInt).
func readCount(r *ber.Reader) (int, error) {
	n, err := r.Int(ber.Integer)
	if err == nil && (n < 0 || n > 1<<31-1) {
		return 0, protocolError("virtual list view: a count below zero")
	}
	return int(n), err
}

// checkView refuses a view that can have no window.
func (q *searching) checkView() error {
	v := q.controls.view
	switch {
	case v.context != nil && !hmac.Equal(v.context, q.viewContext()):
		v.code = directory.UnwillingToPerform
	case v.value == nil && (v.offset == 0 || v.of > 0 && v.offset > v.of):
		v.code = offsetRangeError
	case v.value != nil:
		if _, err := q.controls.sorting.keys[0].rule.NormalizeAssertion(v.value); err != nil {
			v.code = directory.InappropriateMatching
		}
	}
	if v.code != directory.Success {
		return q.unlisted(virtualListViewError, "")
	}
	return nil
}

// window chooses the part of a sorted list; target and count, or code, are
// known afterwards.
func (v *view) window(l *listing) (from, to int) {
	v.count = len(l.keys)
	switch {
	case v.value != nil:
		form, _ := l.by.keys[0].rule.NormalizeAssertion(v.value)
		v.target = 1 + l.search(l.by.keys[0].append(nil, form))
	case v.count == 0: // nothing is at any place of an empty list
		return 0, 0
	case v.offset == 1:
		v.target = 1
	case v.of == 0:
		v.target = v.offset
	default: // the same place in a list that has grown or shrunk
		v.target = max(1, int(int64(v.count)*int64(v.offset)/int64(v.of)))
	}
	if v.value == nil && v.target > v.count {
		v.target, v.code = 0, offsetRangeError
		return 0, 0
	}
	from, to = max(0, v.target-1-v.before), min(v.count, v.target+v.after)
	return from, max(from, to)
}

// appendResult appends a VirtualListViewResponse.
func (v *view) appendResult(b []byte, q *searching) []byte {
	r, mark := ber.Begin(nil, ber.Sequence)
	r = ber.AppendInt(r, ber.Integer, int64(v.target))
	r = ber.AppendInt(r, ber.Integer, int64(v.count))
	r = ber.AppendInt(r, ber.Enumerated, int64(v.code))
	if v.code == directory.Success {
		r = ber.Append(r, ber.OctetString, q.viewContext())
	}
	return appendControl(b, oidViewed, ber.End(r, mark))
}

// viewContext ties a list to who looks at it and to what was asked. The server
// keeps nothing for it: each window is made anew.
func (q *searching) viewContext() []byte { return q.seal([]byte{'v'})[:16] }
