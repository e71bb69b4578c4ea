package relying

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Ask sends the question to the responder at url by POST (RFC 6960 Appendix A.1) and judges the
// answer at the time now returns when it has arrived. The caller's ctx bounds the wait. A transport
// fault is returned as it is, so that errors.Is and errors.As see it.
func (q Query) Ask(ctx context.Context, client *http.Client, url string, now func() time.Time) (Answer, error) {
	body, err := q.Encode()
	if err != nil {
		return Answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("asking %s: %w", url, err)
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("asking %s: %w", url, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Answer{}, fmt.Errorf("asking %s: HTTP status %s", url, response.Status)
	}
	if got := response.Header.Get("Content-Type"); got != "application/ocsp-response" {
		return Answer{}, fmt.Errorf("asking %s: answered with %q", url, got)
	}
	der, err := io.ReadAll(io.LimitReader(response.Body, MaxResponse+1))
	if err != nil {
		return Answer{}, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return q.Judge(der, now())
}
