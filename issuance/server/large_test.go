package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cardinal/issuance/api"
	"cardinal/issuance/issuancetest"
)

// slowly begins a large request and sends no more than its first octet.
func (o *office) slowly(hand *issuancetest.Hand) *tls.Conn {
	o.Helper()
	address := strings.TrimPrefix(o.url, "https://")
	config := o.tls(hand)
	config.NextProtos = []string{"http/1.1"}
	c, err := tls.Dial("tcp", address, config)
	must(o, err)
	o.Cleanup(func() { c.Close() })
	_, err = fmt.Fprintf(c, "POST /v1/orders/plan HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{", address)
	must(o, err)
	return c
}

// TestNobodyKeepsOrdersOutBySendingSlowly: neither with a card that was
// suspended, which any connection is made with, nor with several requests.
func TestNobodyKeepsOrdersOutBySendingSlowly(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o := open(t)
	_, card, lost := o.Holder("Sal", "S8000:G8000:R8000")
	_, _, manager := o.Holder("Mara", "R5080")
	if _, _, err := o.Desk.Suspend(t.Context(), o.Manager.Operator(), card, "lost"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		answer, err := http.ReadResponse(bufio.NewReader(o.slowly(lost)), nil)
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("a suspended card is answered %s", answer.Status)
		}
	}
	for range 3 {
		o.slowly(manager)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	plan, err := o.manager.PlanOrder(ctx, api.NewOrder{Verb: "cancel", Reason: "lost", Names: []string{card}})
	if err != nil || plan.Would != 1 {
		t.Errorf("%+v, %v", plan, err)
	}
}
