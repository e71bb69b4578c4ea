package issuance

import (
	"bytes"
	"image"
	_ "image/jpeg" // the two forms a photograph comes in
	_ "image/png"
)

// Limits of a photograph.
const (
	photoMax     = 512 << 10 // octets: several times what a card print needs
	photoMaxSide = 8192      // pixels: what a decoder downstream would have to hold
)

// checkPhoto reads the header only: nothing is decoded that a forged size could
// blow up.
func checkPhoto(field string, photo []byte) error {
	if len(photo) == 0 {
		return photoMissing.in(field, "no photograph was given")
	}
	if len(photo) > photoMax {
		return photoForm.in(field, "%d octets, at most %d", len(photo), photoMax)
	}
	header, form, err := image.DecodeConfig(bytes.NewReader(photo))
	if err != nil {
		return photoForm.in(field, "neither JPEG nor PNG")
	}
	if header.Width < 1 || header.Height < 1 || header.Width > photoMaxSide || header.Height > photoMaxSide {
		return photoForm.in(field, "%s of %d×%d pixels, at most %d a side", form, header.Width, header.Height, photoMaxSide)
	}
	return nil
}
