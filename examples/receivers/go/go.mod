module preservica-receiver

go 1.21
