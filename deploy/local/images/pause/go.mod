module allmende/deploy/local/images/pause

go 1.26.0
