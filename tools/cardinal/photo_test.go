package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptPhoto FILE writes a picture the size of a passport photo.
func scriptPhoto(ts *testscript.TestScript, _ bool, args []string) {
	data, err := facePNG()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// facePNG is a PNG as large as a photograph of a person.
func facePNG() ([]byte, error) {
	img := image.NewGray(image.Rect(0, 0, 480, 600))
	for i := range img.Pix {
		img.Pix[i] = color.Gray{Y: uint8(i / 480)}.Y
	}
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}
