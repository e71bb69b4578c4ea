package main

import (
	"image"
	"image/png"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// photoCommand writes a picture the size of a passport photo, for trials where
// nobody's face is at hand.
func photoCommand(out io.Writer) *cobra.Command {
	var to string
	c := &cobra.Command{Use: "photo", Short: "Write a picture the size of a passport photo", Args: cobra.NoArgs,
		Example: "  load photo --out face.png",
		RunE: func(*cobra.Command, []string) error {
			if to == "" {
				return paint(out)
			}
			f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := paint(f); err != nil {
				return err
			}
			return f.Close()
		}}
	c.Flags().StringVar(&to, "out", "", "file to write (default: standard output)")
	return c
}

// paint writes the picture as a PNG.
func paint(to io.Writer) error {
	img := image.NewGray(image.Rect(0, 0, 480, 600))
	for i := range img.Pix {
		img.Pix[i] = uint8(i / 480 * 255 / 600)
	}
	return png.Encode(to, img)
}
