package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"

	"cardinal/issuance/api"
)

// listed cancels a card and waits until the list of its shard names its
// certificate.
func (r *revokes) listed(ctx context.Context, card string) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	q, err := r.question(ctx, card)
	if err != nil {
		return 0, err
	}
	serial := q.query.Leaf.SerialNumber.FillBytes(make([]byte, 16))
	url := fmt.Sprintf("%s/crl/authentication/%d.crl", r.at.Status, serial[15]%16)
	entry := append([]byte{2, 16}, serial...)
	begun := time.Now()
	if _, err := r.client.Cancel(ctx, card, api.CancelCard{Reason: "lost"}); err != nil {
		return 0, err
	}
	for tag := ""; ; {
		list, newTag, err := fetchList(ctx, url, tag)
		switch {
		case err != nil:
			return 0, fmt.Errorf("waiting for %s: %w", url, err)
		case bytes.Contains(list, entry):
			took := time.Since(begun)
			_, err := x509.ParseRevocationList(list)
			return took, err
		}
		tag = newTag
		if err := pause(ctx, 0.02); err != nil {
			return 0, fmt.Errorf("%s does not list %s: %w", url, card, err)
		}
	}
}

// fetchList downloads a list unless it is the one the tag names; nil then.
func fetchList(ctx context.Context, url, tag string) (list []byte, _ string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		list, err = io.ReadAll(answer.Body)
		return list, answer.Header.Get("ETag"), err
	case http.StatusNotModified, http.StatusServiceUnavailable: // no other one yet, or none
		return nil, tag, nil
	}
	return nil, "", wrong("answered with %s", answer.Status)
}
